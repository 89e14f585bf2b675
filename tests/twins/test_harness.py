"""The harness finds what is wrong: in a value, in a shape, with padding, with a state."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import Any

import pytest
from torch import Tensor

from blocks import Causal, GQAttention, RoPE, Step
from tests.twins.combine import combined
from tests.twins.harness import Entry, check_twin
from tests.twins.table import ENTRIES


def changed(name: str, change: Any) -> Entry:
    """The entry with a twin whose answer is another."""
    entry = ENTRIES[name]

    @wraps(entry.twin)
    def twin(*inputs: Any, **options: Any) -> Any:
        return change(entry.twin(*inputs, **options), options)

    return replace(entry, twin=twin)


@pytest.mark.parametrize("name", ["SoftCap", "GQAttention", "LatentAttention", "LearnedPositions"])
def test_a_small_difference_is_found(name: str) -> None:
    with pytest.raises(AssertionError, match="off by"):
        check_twin(name, changed(name, lambda y, options: y * (1 + 1e-9)))


def test_another_shape_is_found() -> None:
    with pytest.raises(AssertionError, match=r"torch.Size"):
        check_twin("LMHead", changed("LMHead", lambda y, options: y[:, 1:]))


def test_one_wrong_value_of_one_option_is_found() -> None:
    def wrong(y: Tensor, options: dict[str, Any]) -> Tensor:
        return y + 1e-3 if options["cap"] and options["bias"] and options["width"] else y

    with pytest.raises(AssertionError, match="cap=1.5"):
        check_twin("LMHead", changed("LMHead", wrong))


def test_what_padding_changes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(self: RoPE, q: Tensor, k: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        return turned(self, q, k, Step.plain(q.transpose(1, 2)))

    turned = RoPE.forward
    monkeypatch.setattr(RoPE, "forward", blind)
    with pytest.raises(AssertionError, match="left|between|packed"):
        check_twin("RoPE", ENTRIES["RoPE"])


def test_a_state_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(self: GQAttention, x: Tensor, step: Any = None, state: Any = None) -> Tensor:
        return read(self, x, Step(step.positions) if state is not None else step)

    read = GQAttention.forward
    monkeypatch.setattr(GQAttention, "forward", forgets)
    entry = ENTRIES["GQAttention"]
    grid = {name: values[:1] for name, values in entry.grid.items()} | {"mask": (Causal(),)}
    with pytest.raises(AssertionError, match="chunks of"):
        check_twin("GQAttention", replace(entry, grid=grid))


def test_every_pair_of_values_meets() -> None:
    grid = {name: tuple(range(n)) for name, n in zip("abcde", (4, 3, 5, 2, 3), strict=True)}
    tried = list(combined(grid, lambda options: options["a"] != options["b"], "seed"))
    assert tried == list(combined(grid, lambda options: options["a"] != options["b"], "seed"))
    assert len(tried) < 60
    for a in range(4):
        for c in range(5):
            assert any(o["a"] == a and o["c"] == c for o in tried)
    assert all(o["a"] != o["b"] for o in tried)
    small = {"a": (1, 2), "b": (3, 4, 5)}
    assert len(list(combined(small, lambda options: True, ""))) == 6
    assert len(list(combined(small, lambda options: options["a"] > 1, ""))) == 3
