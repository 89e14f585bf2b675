"""Every mixer in every decoder family; `python tools/swaps.py` runs all and writes the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from index import ROOT, is_block, public

from tests.surgery.exchange import MIXERS, OTHERS, run
from tests.surgery.families import DECODERS, SAMPLE

ROUND = 7  # a test of a family takes every so manieth mixer, beginning with another each
CELLS = [
    pytest.param(family, mixer, marks=[] if family in SAMPLE else [pytest.mark.slow])
    for i, family in enumerate(DECODERS)
    for mixer in list(MIXERS)[i % ROUND :: ROUND]
]


@pytest.mark.parametrize(("family", "mixer"), CELLS)
def test_runs_learns_writes_and_comes_back(family: str, mixer: str, tmp_path: Path) -> None:
    assert 0 <= run(family, mixer, tmp_path) <= 1


def test_the_table_is_whole() -> None:
    """Every cell has been run, and each found to run."""
    table = json.loads((ROOT / "docs" / "swaps.json").read_text(encoding="utf-8"))
    assert [row["family"] for row in table["rows"]] == DECODERS
    assert table["mixers"] == list(MIXERS)
    assert all(len(row["carried"]) == len(MIXERS) for row in table["rows"])
    assert all(0 <= share <= 1 for row in table["rows"] for share in row["carried"])


def test_no_mixer_is_forgotten() -> None:
    folders = ("attention", "ssm", "recurrent", "conv")
    named = {
        item.name
        for item in public().values()
        if is_block(item) and item.module.split(".")[1] in folders
    }
    import blocks

    there = {name for name in named if hasattr(getattr(blocks, name), "forward")}
    tried = {spec.func.__name__ for spec in MIXERS.values()}
    assert there - tried == OTHERS.keys() & there, there ^ tried
    assert OTHERS.keys() <= there
