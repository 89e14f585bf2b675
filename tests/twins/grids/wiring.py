"""Blocks that hold others: options and twins."""

from __future__ import annotations

from typing import Any

import torch

from blocks import (
    GRU,
    MLP,
    RGLRU,
    CausalConv,
    GatedMLP,
    LayerNorm,
    Linear,
    LMHead,
    Maxout,
    Normed,
    RMSNorm,
    Spec,
    TokenShift,
)
from tests.twins import wiring
from tests.twins.combine import Options
from tests.twins.harness import Entry

BOTH = (False, True)
SMALL = Spec(GatedMLP, hidden=5)
KEPT = Spec(CausalConv, kernel=3)
NORMS = (None, RMSNorm, Spec(LayerNorm, eps=0.1))
WRAPPED = {"dim": (8,), "inner": (SMALL, KEPT), "norm_in": NORMS, "norm_out": NORMS}
STEPS = (
    {"conv": KEPT, "mlp": Spec(Normed, inner=SMALL, norm_in=RMSNorm)},
    {"gru": GRU, "shift": TokenShift},
)

MLPS = (Spec(MLP, hidden=6), Spec(MLP, hidden=3, act="relu", bias=False))
ADDED = {
    "dim": (8,),
    "vocab": (None, 7),
    "inner": (*MLPS, Spec(LMHead, cap=2.0)),
    "on": (("up",), ("up", "down"), ("",)),
    "rank": (1, 3),
    "scale": (1.0, 0.5),
}


def is_head(options: Options) -> bool:
    return options["inner"].func is LMHead


def fits(options: Options) -> bool:
    """Only a head is a matrix itself and is given a vocabulary."""
    return (options["vocab"] is not None) == (options["on"] == ("",)) == is_head(options)


def saved(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    """What two Saves have laid down before."""
    size = (rows, tokens, options["width"] or options["dim"])
    return {"saved": {name: torch.randn(size) for name in ("skip", "other")}}


GRID = {
    "Chain": Entry(wiring.chain, {"dim": (8,), "steps": (*STEPS, {"one": SMALL})}),
    "Checkpointed": Entry(wiring.checkpointed, {"dim": (8,), "inner": (SMALL, KEPT)}),
    "Dropout": Entry(wiring.dropout, {"dim": (8,)}),
    "GatedMixer": Entry(
        wiring.gated_mixer,
        {
            "dim": (8,),
            "steps": (*STEPS, {"conv": KEPT, "lru": Spec(RGLRU, heads=2)}),
            "inner": (None, 6),
            "act": ("gelu_tanh", "silu"),
            "bias": BOTH,
        },
    ),
    "Linear": Entry(wiring.matrix, {"dim": (8,), "out_dim": (None, 3), "bias": BOTH}),
    "PackedLinear": Entry(
        wiring.packed, {"dim": (8, 40), "out_dim": (None, 3, 20), "bits": (8, 4), "bias": BOTH}
    ),
    "Load": Entry(
        wiring.load,
        {
            "dim": (8,),
            "name": ("skip", "other"),
            "inner": (None, Linear, KEPT),
            "merge": ("concat", "sum", "product"),
            "width": (None, 5),
        },
        known=saved,
        allowed=lambda o: o["merge"] == "concat" or o["width"] is None,
        alike=lambda o: False,  # a state has no place for what is saved
    ),
    "DoRA": Entry(wiring.dora, ADDED, allowed=fits),
    "Factored": Entry(
        wiring.factored,
        {
            "dim": (8,),
            "vocab": (None, 7),
            "inner": (*MLPS, Spec(LMHead, width=6)),
            "rank": ({"up": 2}, {"up": 1, "down": 3}, {"project": 2}),
        },
        allowed=lambda o: (o["vocab"] is not None) == ("project" in o["rank"]) == is_head(o),
    ),
    "LoRA": Entry(wiring.low_rank, ADDED, allowed=fits),
    "LowRank": Entry(wiring.low_rank, ADDED, allowed=fits),
    "Normed": Entry(wiring.normed, WRAPPED),
    "Parallel": Entry(
        wiring.parallel, {"dim": (8,), "branches": STEPS, "merge": ("sum", "product", "concat")}
    ),
    "Residual": Entry(
        wiring.residual, WRAPPED | {"norm_after": NORMS, "scale": (1.0, 0.5), "carry": (1.0, 2.0)}
    ),
    "Resized": Entry(
        wiring.resized,
        {
            "dim": (3,),
            "vocab": (None, 7),
            "inner": (GRU, Spec(Maxout, hidden=4), LMHead),
            "width": (8, 5),
        },
        lambda o, rows, tokens: (torch.randn(rows, tokens, o["width"]),),
        allowed=lambda o: (o["vocab"] is not None) == (o["inner"] is LMHead),
    ),
    "Reversible": Entry(wiring.reversible, {"dim": (8, 16), "steps": STEPS}),
    "Save": Entry(wiring.save, {"dim": (8,), "name": ("skip", "other")}),
    "Widen": Entry(wiring.widen, {"dim": (8,)}),
}
