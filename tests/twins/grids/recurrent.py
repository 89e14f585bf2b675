"""Recurrent and state-space layers: options and twins."""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor

from blocks import (
    XIELU,
    Activation,
    GatedRMSNorm,
    RMSNorm,
    RoPE,
    Spec,
)
from tests.twins import memories, recurrent, ssm
from tests.twins.combine import Options
from tests.twins.harness import Entry

BOTH = (False, True)


def onward(options: Options) -> bool:
    """What reads from the end has no state."""
    return options["direction"] == "forward"


STACK = {
    "dim": (6,),
    "direction": ("forward", "backward", "both"),
    "depth": (3, 1),
    "hidden": (5, None),
    "bias": BOTH,
}
CHANNELS = {"dim": (3,), "dt": ((0.05, 0.5), (0.001, 0.1)), "act": ("gelu", "identity")}
OUT = {"out": ("glu", "linear", None)}


def units(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return (torch.bernoulli(torch.full((rows, tokens, options["dim"]), 0.5)),)


GRID = {
    "GRU": Entry(recurrent.gru, STACK | {"reset": ("before", "after")}, alike=onward),
    "GatedDeltaNet": Entry(
        memories.gated_delta_net,
        {
            "dim": (8,),
            "heads": (1, 2),
            "head_dim": (None, 3),
            "value_heads": (None, 4),
            "value_dim": (None, 5),
            "kernel": (1, 4),
            "act": ("silu", "identity"),
            "strength": (1.0, 2.0),
            "norm": (Spec(GatedRMSNorm, gate_first=False), GatedRMSNorm),
            "chunk": (1, 4, 64),
        },
    ),
    "LSTM": Entry(recurrent.lstm, STACK | {"peepholes": BOTH}, alike=onward),
    "LinearAttention": Entry(
        memories.linear_attention,
        {
            "dim": (8,),
            "heads": (4, 2),
            "kv_heads": (None, 2),
            "head_dim": (None, 4),
            "value_dim": (None, 3),
            "bias": BOTH,
            "feature": (None, XIELU),
            "qk": ((), (Spec(RoPE, theta=100.0),)),
            "decay": (None, (0.9, 0.5), (0.9, 0.5, 1.0, 0.1)),
            "norm": (None, Spec(RMSNorm, eps=0.1)),
            "eps": (1e-6, 0.1, None),
            "chunk": (1, 4, 64),
        },
        # By sums of other features, which may be near zero, nothing is divided.
        allowed=lambda o: (
            (o["decay"] is None or len(o["decay"]) == (o["kv_heads"] or o["heads"]))
            and (o["feature"] is None or o["eps"] is None)
        ),
    ),
    "Mamba": Entry(
        ssm.mamba,
        {
            "dim": (6,),
            "inner": (None, 5),
            "state_dim": (1, 4),
            "kernel": (1, 4),
            "rank": (None, 3),
            "act": ("silu", "tanh"),
            "bias": BOTH,
            "conv_bias": BOTH,
            "norm": (None, RMSNorm),
        },
    ),
    "Mamba2": Entry(
        ssm.mamba2,
        {
            "dim": (6,),
            "heads": (4, 2),
            "head_dim": (1, 3),
            "state_dim": (1, 5),
            "groups": (1, 2, 4),
            "kernel": (1, 4),
            "bias": BOTH,
            "conv_bias": BOTH,
            "norm": (GatedRMSNorm, Spec(GatedRMSNorm, groups=2, gate_first=False), None),
            "limits": ((0.0, math.inf), (0.3, 0.6)),
            "chunk": (1, 4, 64),
        },
        allowed=lambda o: o["heads"] % o["groups"] == 0,
    ),
    "RGLRU": Entry(recurrent.rglru, {"dim": (6,), "heads": (1, 2, 6)}),
    "RNN": Entry(recurrent.rnn, STACK | {"act": ("tanh", "relu")}, alike=onward),
    "RTRBM": Entry(recurrent.rtrbm, {"dim": (6,), "hidden": (None, 3)}, units),
    "RWKV": Entry(memories.rwkv, {"dim": (6,), "inner": (None, 9)}),
    "RWKVChannelMix": Entry(
        memories.rwkv_channel_mix,
        {"dim": (6,), "hidden": (None, 9), "act": get_args(Activation)},
    ),
    "S4": Entry(ssm.s4, CHANNELS | OUT | {"state_dim": (2, 6)}),
    "S4D": Entry(
        ssm.s4d,
        CHANNELS
        | OUT
        | {
            "state_dim": (2, 6),
            "init": ("inv", "legs", "lin", "real"),
            "method": ("bilinear", "zoh"),
        },
    ),
}
