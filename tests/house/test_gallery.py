"""The gallery: pictures that hold together, formulas and figures that are those of the code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from blockpages import role, year
from costs import COSTS, value
from index import ROOT, is_block, public

from tests.blocks.table import TABLE
from tests.surgery.geometry import Picture

DATA = json.loads((ROOT / "docs" / "gallery.json").read_text(encoding="utf-8"))
BLOCKS = {item.name: item for item in public(ROOT / "blocks").values() if is_block(item)}
DRAWN = {path.stem: path for path in (ROOT / "docs" / "blocks").glob("*.svg")}


def test_every_block_with_an_example_is_drawn() -> None:
    assert set(DRAWN) == set(DATA["blocks"]) <= set(BLOCKS)
    assert set(TABLE) & set(BLOCKS) <= set(DRAWN), "run tools/gallery.py, then tools/pages.py"


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_holds_together(name: str) -> None:
    assert not list(Picture(DRAWN[name].read_text(encoding="utf-8")).faults())


@pytest.mark.parametrize("name", COSTS)
def test_formulas_are_what_was_counted(name: str) -> None:
    row, cost = DATA["blocks"][name], COSTS[name]
    letters = {"D": 1024, "S": DATA["context"]} | cost.letters
    numbers = [row["parameters"], row["flops"], *(nbytes / 4 for nbytes in row["state"])]
    formulas = [cost.parameters, cost.flops, cost.state, cost.fixed]
    told = [(f, n) for f, n in zip(formulas, numbers, strict=True) if f]
    assert {f: value(f, letters) for f, _ in told} == dict(told)


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("Mamba", ("a mixer of tokens", 2023)),
        ("GQAttention", ("a mixer of tokens", 2017)),
        ("MoE", ("an MLP", 2017)),
        ("RoPE", ("what happens to queries and keys (`qk`)", 2021)),
        ("Window", ("a mask", 2020)),
        ("Clip", (None, 2023)),
        ("Residual", (None, 2015)),
    ],
)
def test_what_a_block_is_for(block: str, found: Any) -> None:
    assert (role(BLOCKS[block], DATA["blocks"]), year(BLOCKS[block])) == found


def test_a_family_lists_the_blocks_it_is_made_of() -> None:
    mixtral = set(DATA["families"]["mixtral"])
    assert {"GQAttention", "MoE", "RMSNorm", "RoPE", "Window"} <= mixtral
    assert not {"LayerNorm", "Mamba", "ALiBi"} & mixtral


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DATA["blocks"] if name in TABLE])
def test_figures_still_hold(name: str) -> None:
    from gallery import told

    row, picture = told(name)
    kept = {key: number for key, number in DATA["blocks"][name].items() if key != "carries"}
    assert json.loads(json.dumps(row)) == kept, "run tools/gallery.py, then tools/pages.py"
    assert Picture(picture).blocks == Picture(DRAWN[name].read_text(encoding="utf-8")).blocks
