"""Convolutions along time: what strides leave, what padding is, and norms over batch and time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from blocks import (
    BatchNorm,
    ConvModule,
    ConvStem,
    GenerationError,
    LayerNorm,
    Spec,
    SpecError,
    Step,
    Subsampling,
    TimeNorm,
)
from blocks.testing.subject import disturb

LENGTHS = torch.tensor([19, 12, 15])
REAL = torch.arange(19) < LENGTHS[:, None]

STEMS = [
    Spec(ConvStem),
    Spec(ConvStem, kernels=(5, 2, 2), strides=(2, 1, 2), padded=False, between=(6, 4)),
    Spec(ConvStem, kernels=(4, 3), strides=(2, 2), norm=LayerNorm),
    Spec(ConvStem, norm=TimeNorm, normed="first"),
    Spec(Subsampling, hidden=3, depth=2),
    Spec(Subsampling, hidden=3, depth=1, kernel=5, stride=3, scale=2.0),
]


@pytest.mark.parametrize("spec", STEMS)
@torch.no_grad()
def test_a_padded_row_is_what_it_is_alone(spec: Any) -> None:
    stem = spec(8, 12).double()
    disturb(stem)
    frames = torch.randn(3, 19, 8, dtype=torch.float64)
    loud = torch.where(REAL[..., None], frames, torch.nan)
    out = stem(loud, REAL)
    after = stem.shrunk(Step(torch.arange(19)[None], real=REAL))
    assert after.real is not None and after.real.shape == out.shape[:2]
    assert after.positions.tolist() == [list(range(out.shape[1]))]
    for row, length in enumerate(LENGTHS.tolist()):
        alone = stem(frames[row : row + 1, :length])
        assert int(after.real[row].sum()) == alone.shape[1]
        torch.testing.assert_close(out[row : row + 1, after.real[row]], alone)
    whole = stem.shrunk(Step(torch.arange(19)[None]))
    assert whole.real is None and whole.positions.shape == after.positions.shape
    torch.testing.assert_close(stem(frames), stem(frames, torch.ones_like(REAL)))


def test_what_does_not_fit() -> None:
    with pytest.raises(SpecError, match="2 kernels have 1 strides"):
        ConvStem(8, 12, strides=(1,))
    with pytest.raises(SpecError, match="0 widths between 2"):
        ConvStem(8, 12, between=())
    with pytest.raises(SpecError, match="no middle"):
        ConvModule(8, kernel=4)
    with pytest.raises(SpecError, match="channels"):
        Subsampling(1, 8, hidden=2, kernel=2, depth=1)
    stem = ConvStem(8, 12, kernels=(10, 3), strides=(5, 2), padded=False)
    assert stem(torch.randn(1, 20, 8)).shape[1] == 1
    with pytest.raises(GenerationError, match="19 frames are too few: at least 20"):
        stem(torch.randn(1, 19, 8))
    with pytest.raises(GenerationError, match="12 frames are too few"):
        stem.shrunk(Step(torch.arange(25)[None], real=REAL))
    with pytest.raises(GenerationError, match="at the end alone"):
        stem.shrunk(Step(torch.arange(19)[None], real=REAL.flip(1)))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_torch_s(training: bool) -> None:
    ours, theirs = BatchNorm(6, eps=0.1).train(training), nn.BatchNorm1d(6, eps=0.1).train(training)
    with torch.no_grad():
        for one, other in (("weight", "weight"), ("bias", "bias"), ("mean", "running_mean")):
            getattr(ours, one).normal_()
            getattr(theirs, other).copy_(getattr(ours, one))
        ours.variance.uniform_(0.5, 2)
        theirs.running_var.copy_(ours.variance)
    x = torch.randn(3, 19, 6)
    torch.testing.assert_close(ours(x), theirs(x.mT).mT)
    real = x[REAL]
    found = ours(x, Step(torch.arange(19)[None], real=REAL))
    torch.testing.assert_close(found[REAL], theirs(real))
    torch.testing.assert_close(ours.mean, theirs.running_mean)
    torch.testing.assert_close(ours.variance, theirs.running_var)
    assert training == bool((found[~REAL] == 0).all())


def test_time_norm_is_group_norm_of_single_channels() -> None:
    ours, theirs = TimeNorm(6, eps=0.1), nn.GroupNorm(6, 6, eps=0.1)
    disturb(ours)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 19, 6) + 3
    torch.testing.assert_close(ours(x), theirs(x.mT).mT)
    found = ours(x, REAL)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(found[row, :length], ours(x[row : row + 1, :length])[0])


def test_a_module_keeps_what_it_learnt_of_real_frames_alone() -> None:
    module = ConvModule(6, kernel=3).train()
    x = torch.randn(3, 19, 6)
    step = Step(torch.arange(19)[None], real=REAL)
    loud = torch.where(REAL[..., None], x, 1e4)
    first, second = (ConvModule(6, kernel=3).train() for _ in range(2))
    for other in (first, second):
        other.load_state_dict(module.state_dict())
    torch.testing.assert_close(first(x, step)[REAL], second(loud, step)[REAL])
    torch.testing.assert_close(first.norm.mean, second.norm.mean)
    assert not torch.equal(first.norm.mean, module.norm.mean)
