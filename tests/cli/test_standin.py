"""The stand-in for torch builds what torch builds, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from index import ROOT

import blocks
from blocks.cli import standin
from blocks.families import model_types
from blocks.hub.config import Config, read_json
from blocks.hub.outline import outline_of
from tests.families import test_transfo_xl
from tests.families.reference import ELSEWHERE, case_of, families

OUTLINES = """
import json, sys
from pathlib import Path
from blocks.cli.standin import light
found = []
with light():
    import torch
    from blocks.hub.config import Config
    from blocks.hub.outline import outline_of
    from blocks.models.places import addresses
    for data in json.loads(Path(sys.argv[1]).read_text()):
        with torch.device("meta"):
            model = outline_of(Config(data)).build()
        shapes = {address: list(tensor.shape) for address, tensor in addresses(model).items()}
        shared = len({id(tensor) for tensor in addresses(model).values()})
        remembers = hasattr(model, "init_state")
        state = model.init_state(2, 40, torch.bfloat16).nbytes if remembers else 0
        found.append([shapes, shared, sum(p.numel() for p in model.parameters()), state])
assert not [name for name in sys.modules if name.partition(".")[0] == "torch"]
print(json.dumps(found))
"""

AFTERWARDS = """
import sys
from blocks.cli.standin import light
with light():
    import blocks
    assert blocks.GQAttention(8, heads=2).q.weight.shape == (8, 8)
    assert "blocks.attention.gq" in sys.modules
import torch, blocks
assert blocks.GQAttention(8, heads=2)(torch.ones(1, 3, 8)).shape == (1, 3, 8)
with light():
    assert isinstance(torch.zeros(1), torch.Tensor)
"""


def fresh(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result.stdout


def configs(tmp_path: Path) -> list[dict[str, Any]]:
    """Every tiny variant and every published config of all families."""
    found: list[dict[str, Any]] = []
    for family in families():
        case = case_of(family)
        for variant in case.variants.values():
            case.config(**case.options(variant)).save_pretrained(tmp_path)
            named = {"architectures": [(variant.model or case.model).__name__]}
            found.append(read_json(tmp_path / "config.json") | named)
        found += [dict(data) for data, _ in case.published.values()]
    return found + [test_transfo_xl.BASE | changed for changed in test_transfo_xl.VARIANTS.values()]


@pytest.mark.slow  # every variant and every published config is built twice
def test_every_family_is_built_alike(tmp_path: Path) -> None:
    assert families() == [name for name in model_types() if name not in ELSEWHERE]
    given = configs(tmp_path)
    (tmp_path / "given.json").write_text(json.dumps(given))
    found = json.loads(fresh(OUTLINES, str(tmp_path / "given.json")))
    assert len(found) == len(given)
    for data, light in zip(given, found, strict=True):
        with torch.device("meta"):
            model = outline_of(Config(data)).build()
        tensors = blocks.addresses(model)
        shapes = {address: list(tensor.shape) for address, tensor in tensors.items()}
        shared = len({id(tensor) for tensor in tensors.values()})
        values = sum(p.numel() for p in model.parameters())
        remembers = hasattr(model, "init_state")
        state = model.init_state(2, 40, torch.bfloat16).nbytes if remembers else 0
        assert light == [shapes, shared, values, state]


def test_nothing_is_left_behind() -> None:
    fresh(AFTERWARDS)


@pytest.mark.parametrize(
    ("name", "sizes", "options"),
    [
        ("Linear", (3, 4), {}),
        ("Linear", (3, 4), {"bias": False}),
        ("Embedding", (5, 3), {}),
        ("LayerNorm", (6,), {}),
        ("Dropout", (0.1,), {}),
    ],
)
def test_layers_have_the_shapes_of_the_real_ones(
    name: str, sizes: tuple[Any, ...], options: dict[str, Any]
) -> None:
    real = vars(torch.nn)[name](*sizes, **options)
    light = vars(standin.nn)[name](*sizes, **options)
    ours = {key: tuple(value.shape) for key, value in light._parameters.items()}
    assert ours == {key: tuple(value.shape) for key, value in real.named_parameters()}


def test_a_layer_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError, match="Conv9d is not in blocks/cli/standin.py: add it"):
        standin.nn.Conv9d  # noqa: B018  # the look-up is what is tested
