"""Norms: options and twins."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks import LayerNorm, RMSNorm
from tests.twins import norms
from tests.twins.combine import Options
from tests.twins.grids.positions import HEADS, heads_of
from tests.twins.harness import Entry


def gated(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return tuple(torch.randn(rows, tokens, options["dim"]) for _ in "xz")


def beginning(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    """x [B T D], and which places are real [B T]: the first few of each row."""
    x = torch.randn(rows, tokens, options["dim"])
    return x, torch.arange(tokens) < tokens - torch.arange(rows)[:, None]


GRID = {
    "BatchNorm": Entry(norms.batch_norm, {"dim": (1, 8), "eps": (1e-5, 0.1)}),
    "GatedRMSNorm": Entry(
        norms.gated_rms_norm,
        {"dim": (8,), "groups": (1, 2, 8), "eps": (1e-5, 0.1), "gate_first": (True, False)},
        gated,
    ),
    "LayerNorm": Entry(
        norms.layer_norm,
        {
            "dim": (1, 8),
            "eps": (1e-5, 0.1),
            "offset": (0.0, 1.0),
            "weight": (True, False),
            "bias": (True, False),
        },
    ),
    "QKNorm": Entry(
        norms.qk_norm,
        HEADS
        | {
            "head_dim": (3,),
            "norm": (RMSNorm, LayerNorm),
            "gain": (False, True),
            "over": ("head", "each", "all"),
        },
        heads_of,
    ),
    "RMSNorm": Entry(
        norms.rms_norm,
        {
            "dim": (1, 8),
            "eps": (1e-6, 0.1),
            "offset": (0.0, 1.0),
            "weight": (True, False),
            "cast": ("before", "after", "statistics"),
        },
    ),
    "TimeNorm": Entry(
        norms.time_norm,
        {"dim": (3,), "eps": (1e-5, 0.1)},
        beginning,
        layouts=("plain",),
        whole=True,
    ),
}
