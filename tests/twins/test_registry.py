"""No block and no option is without a twin, and no twin knows the library."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

import blocks
from blocks import Activation, Mask, Scaling
from tests.blocks.table import public_blocks
from tests.twins.mlps import ACTIVATIONS
from tests.twins.table import ENTRIES, PLAIN

ROOM = Path(__file__).parent
HARNESS = {"harness", "steps", "table"}  # which know both sides
TWINS = {path.stem for path in ROOM.glob("*.py") if path.stem[:5] != "test_"} - HARNESS
ELSEWHERE = {"__future__", "cmath", "collections", "dataclasses", "functools", "inspect"}
ELSEWHERE |= {"itertools", "math", "random", "torch", "typing"}


def assembled(name: str) -> bool:
    """What is put together of blocks: parity with outside references covers it."""
    return getattr(blocks, name).__module__.startswith("blocks.models.")


def test_every_block_has_a_twin() -> None:
    every = {name for name in public_blocks() if not assembled(name)}
    assert set(ENTRIES) == every


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_option_has_values(name: str) -> None:
    kind, grid = getattr(blocks, name), ENTRIES[name].grid
    parameters = inspect.signature(kind).parameters
    hints = get_type_hints(kind.__init__)
    assert set(grid) - {"dropout"} == set(parameters) - {"dropout"}
    for option, values in grid.items():
        hint: Any = hints[option]
        wanted = [False, True] if hint is bool else []
        wanted += [None] if type(None) in get_args(hint) else []
        for part in (hint, *get_args(hint)):
            if get_origin(part) is Literal and part is not Activation:
                wanted += get_args(part)
        lacking = [value for value in wanted if value not in values]
        assert not lacking, f"{option}: {lacking} is not tried"
        keyword = parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
        assert len(values) > keyword, f"{option}: one value shows nothing"


def test_every_activation_is_tried() -> None:
    every = set(get_args(Activation))
    assert set(ACTIVATIONS) == set(ENTRIES["Pooler"].grid["act"]) == every


@pytest.mark.parametrize(
    ("family", "where"), [(Mask, ("GQAttention", "mask")), (Scaling, ("RoPE", "scaling"))]
)
def test_every_mask_and_scaling_has_a_twin(family: type, where: tuple[str, str]) -> None:
    every = {
        name: kind
        for name in blocks.__all__
        if isinstance(kind := getattr(blocks, name), type)
        and issubclass(kind, family)
        and kind is not family
    }
    assert set(every) <= set(PLAIN)
    block, option = where
    tried = repr(ENTRIES[block].grid[option])
    assert all(f"{name}(" in tried for name in every)


@pytest.mark.parametrize("name", sorted(TWINS))
def test_a_twin_knows_nothing_of_the_library(name: str) -> None:
    for node in ast.walk(ast.parse((ROOM / f"{name}.py").read_text(encoding="utf-8"))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module
            inside = node.module == "tests.twins"
            modules = [f"{node.module}.{a.name}" for a in node.names] if inside else [node.module]
        elif isinstance(node, ast.Name):
            assert node.id not in ("__import__", "exec", "eval")
        for module in modules:
            room, _, rest = module.partition(".")
            if room == "tests":
                assert rest.removeprefix("twins.") in TWINS
            else:
                assert room in ELSEWHERE, f"{name} imports {module}"
