"""Convolutions: options and twins."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks import BatchNorm, LayerNorm, RMSNorm, Spec, TimeNorm
from tests.twins import convolutions
from tests.twins.combine import Options
from tests.twins.harness import Entry

BOTH = (False, True)


def frames(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    """Frames [B T C], and which are real [B T]: the first of each row."""
    real = torch.arange(tokens) < tokens - 2 * torch.arange(rows)[:, None]
    return torch.randn(rows, tokens, options["channels"]), real


GRID = {
    "CausalConv": Entry(convolutions.causal, {"dim": (5,), "kernel": (1, 2, 4, 14), "bias": BOTH}),
    "ConvModule": Entry(
        convolutions.conv_module,
        {
            "dim": (6,),
            "kernel": (1, 3, 15),
            "norm": (BatchNorm, LayerNorm),
            "act": ("silu", "relu"),
            "bias": BOTH,
        },
        layouts=("plain", "left", "right", "between"),
    ),
    "ConvStem": Entry(
        convolutions.conv_stem,
        {
            "channels": (3,),
            "dim": (4,),
            "kernels": ((3, 3), (4, 2), (5, 1)),
            "strides": ((1, 2), (2, 1), (3, 2)),
            "between": (None, (2,)),
            "padded": BOTH,
            "norm": (None, Spec(LayerNorm, eps=0.1), Spec(TimeNorm, eps=0.1)),
            "normed": ("all", "first"),
            "act": ("gelu", "relu"),
            "bias": BOTH,
        },
        frames,
        shortest=15,
        layouts=("plain",),
        whole=True,
    ),
    "Molecules": Entry(
        convolutions.molecules,
        {
            "dim": (5,),
            "stride": (1, 2, 3),
            "kernel": (1, 2, 3, 4),
            "act": ("gelu", "tanh"),
            "norm": (LayerNorm, Spec(RMSNorm, eps=0.1)),
        },
        layouts=("plain", "left", "right", "between"),
    ),
    "Subsampling": Entry(
        convolutions.subsampling,
        {
            "channels": (6,),
            "dim": (4,),
            "hidden": (1, 2),
            "kernel": (3, 1, 4),
            "stride": (2, 1, 3),
            "depth": (1, 2),
            "scale": (1.0, 2.0),
        },
        frames,
        allowed=lambda o: (o["kernel"], o["stride"], o["depth"]) != (4, 3, 2),
        shortest=15,
        layouts=("plain",),
        whole=True,
    ),
    "TokenShift": Entry(convolutions.token_shift, {"dim": (1, 2, 5)}),
}
