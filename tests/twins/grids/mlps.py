"""MLPs and mixtures of experts: options and twins."""

from __future__ import annotations

from typing import get_args

from blocks import (
    XIELU,
    Activation,
    GatedMLP,
    SigmoidRouter,
    SoftmaxRouter,
    SparseMixerRouter,
    Spec,
    TopKRouter,
)
from tests.twins import experts, mlps
from tests.twins.harness import Entry

WIDE = {"dim": (8,), "hidden": (12, 5)}
BOTH = (False, True)
EXPERT = Spec(GatedMLP, hidden=5)
GROUPS = {"groups": (1, 2, 4), "kept_groups": (1, 2)}
CHOICE = {"dim": (8,), "experts": (8,), "top_k": (1, 2)}

GRID = {
    "ClampedGLU": Entry(
        mlps.clamped_glu, WIDE | {"alpha": (1.702, 1.0), "limit": (7.0, 0.3), "bias": BOTH}
    ),
    "GatedMLP": Entry(mlps.gated_mlp, WIDE | {"act": get_args(Activation), "bias": BOTH}),
    "MLP": Entry(mlps.mlp, WIDE | {"act": (*get_args(Activation), XIELU), "bias": BOTH}),
    "Maxout": Entry(mlps.maxout, WIDE | {"pieces": (1, 2, 3), "bias": BOTH}),
    "MoE": Entry(
        experts.moe,
        {
            "dim": (8,),
            "experts": (4, 5),
            "top_k": (1, 2, 4),
            "expert": (EXPERT, Spec(GatedMLP, hidden=6, act="gelu", bias=True)),
            "router": (
                SoftmaxRouter,
                Spec(SoftmaxRouter, correction=True),
                SigmoidRouter,
                TopKRouter,
                Spec(SparseMixerRouter, jitter=0.5),
            ),
            "shared": (None, Spec(GatedMLP, hidden=7)),
            "shared_gate": BOTH,
            "scale": (1.0, 2.5),
        },
        allowed=lambda o: (
            (o["shared"] is not None or not o["shared_gate"])
            and (o["top_k"] == 2 or "SparseMixer" not in repr(o["router"]))
        ),
    ),
    "SigmoidRouter": Entry(
        experts.sigmoid_router,
        CHOICE
        | GROUPS
        | {
            "renormalize": BOTH,
            "scale": (1.0, 2.5),
            "correction": BOTH,
            "cap": (None, 0.5),
            "by": ("score", "logit"),
        },
        allowed=lambda o: o["kept_groups"] <= o["groups"],
    ),
    "SoftmaxRouter": Entry(
        experts.softmax_router,
        CHOICE
        | GROUPS
        | {"renormalize": BOTH, "scale": (1.0, 2.5), "bias": BOTH, "correction": BOTH},
        allowed=lambda o: o["kept_groups"] <= o["groups"],
    ),
    "SparseMixerRouter": Entry(
        experts.sparse_mixer_router, CHOICE | {"top_k": (2,), "jitter": (0.01, 0.4)}
    ),
    "TopKRouter": Entry(experts.topk_router, CHOICE | {"top_k": (1, 3, 8), "bias": BOTH}),
    "XIELU": Entry(mlps.xielu, {"dim": (8,)}),
}
