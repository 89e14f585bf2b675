"""check_finite: every tensor is looked at, and it takes little."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blocks import from_pretrained
from blocks.hub.fill import _is_finite
from tests.clock import within
from tests.hub.test_load_speed import sparse


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_value_among_many_is_seen(dtype: torch.dtype, bad: float) -> None:
    for at in (0, 511, 999):
        tensor = torch.full((1000,), 0.5, dtype=dtype)
        assert _is_finite(tensor)
        tensor[at] = bad
        assert not _is_finite(tensor)
        tensor[at - 1] = -bad  # their sum is NaN
        assert not _is_finite(tensor)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_large_numbers_whose_sum_overflows_are_finite(dtype: torch.dtype) -> None:
    assert _is_finite(torch.full((100,), torch.finfo(dtype).max, dtype=dtype))


@pytest.mark.slow
def test_a_large_checkpoint_is_looked_at_quickly(tmp_path: Path) -> None:
    held = sparse(tmp_path / "model", 2048, 5632, 16)
    allowed = 0.10 + 0.2 * held / 1.6e9  # the load, and 0.2 s for each 1.6 GB
    load = lambda: from_pretrained(tmp_path / "model", check_finite=True)  # noqa: E731
    assert within(allowed, load, tries=12)
