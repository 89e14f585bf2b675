"""Experts as DeepSeek has them: many small ones, beside them what every token passes, and a choice
that is kept even by a correction; the first layers have one MLP instead.
"""

from __future__ import annotations

from typing import Any

from blocks import SigmoidRouter, Spec, at, replace
from blocks.families import _decoder as common
from blocks.families._layers import moe_of, read_first_dense
from blocks.hub.config import Config
from blocks.hub.keys import Rule

# Of training, of which machine holds which expert, and of a second model in the same file.
_UNUSED = {
    "aux_loss_alpha": float,
    "seq_aux": bool,
    "ep_size": int,
    "num_nextn_predict_layers": int,
    "num_mtp_layers": int,
}
_SIZE = "moe_intermediate_size"
_SHARED = ("num_shared_experts", "moe_num_shared_experts")  # other names of `n_shared_experts`

_SHARED_KEYS = common.gated_keys("shared_experts.", "shared.")
KEYS: tuple[tuple[str, str] | Rule, ...] = (
    *common.GATED_MLP_KEYS,
    *_SHARED_KEYS,
    *common.MOE_KEYS,
    ("model.layers.{i}.mlp.gate.e_score_correction_bias", "layers.{i}.mlp.router.correction"),
    ("model.layers.{i}.mlp.e_score_correction_bias", "layers.{i}.mlp.router.correction"),
)
# As AFMoE has the choice, and Hunyuan 3 had it at first.
EARLY_KEYS = (
    ("model.layers.{i}.mlp.router.gate.weight", "layers.{i}.mlp.router.weight"),
    ("model.layers.{i}.mlp.expert_bias", "layers.{i}.mlp.router.correction"),
)


def read_router(
    c: Config,
    *,
    renormalize: bool = True,
    groups: int = 1,
    kept_groups: int = 1,
    scale: float = 1.0,
) -> Spec:
    """The choice by a sigmoid; the arguments are what a config means that doesn't say them."""
    c.only("scoring_func", "sigmoid", "noaux_tc")  # dots.llm1 calls it as the next field does
    c.only("topk_method", "noaux_tc")
    return Spec(
        SigmoidRouter,
        renormalize=c.take("norm_topk_prob", bool, renormalize),
        groups=c.take("n_group", int, groups),
        kept_groups=c.take("topk_group", int, kept_groups),
        scale=c.take("routed_scaling_factor", float, scale),
    )


def read_early(c: Config) -> None:
    """What AFMoE's models say of the choice, all alike, and the reference has as it is."""
    c.only("score_func", "sigmoid")
    c.only("route_norm", True)
    for name in ("n_group", "topk_group", "num_expert_groups", "num_limited_groups"):
        c.only(name, 1)
    c.take("use_grouped_mm", bool, True)  # which code
    c.take("load_balance_coeff", float, 0.0)  # of training


def read_experts(
    c: Config,
    router: Spec,
    experts: int,
    *,
    hidden: int,
    top_k: int = 8,
    shared: int | None = 1,
    bias: bool = False,
) -> Spec:
    """The mixture.

    Args:
        c: the reader.
        router: slot of what chooses.
        experts: what a config means that doesn't count them.
        hidden: the same of their size.
        top_k: the same of how many a token goes to.
        shared: the same of how many every token passes, which together are one MLP.
        bias: biases of that one.
    """
    for name, kind in _UNUSED.items():
        c.take(name, kind, None, low=0)
    moe = common.moe(c, router, experts, top_k=top_k, size=_SIZE, hidden=hidden)
    number = c.take("n_shared_experts", int, shared, aliases=_SHARED, low=0)
    if not number:
        return moe
    together = number * moe.keywords["expert"].keywords["hidden"]
    return replace(moe, shared=replace(moe.keywords["expert"], hidden=together, bias=bias))


def read_mlps(
    c: Config, moe: Spec, first: int, *, hidden: int, bias: bool = False, older: str | None = None
) -> tuple[Spec, ...]:
    """The MLP of each layer: the mixture, or one alone where the layer is dense.

    Args:
        c: the reader.
        moe: the mixture.
        first: what a config means that doesn't say how many layers are dense.
        hidden: the same of the size of the one MLP.
        bias: its biases.
        older: another field that lists the layers.
    """
    alone = common.gated_mlp(c, bias=bias, hidden=hidden)
    return tuple(alone if dense else moe for dense in read_first_dense(c, first, older=older))


def write_router(s: Spec) -> dict[str, Any]:
    """The fields that `read_router` is read from."""
    router = at(moe_of(s), "router").keywords
    return {
        "n_group": router["groups"],
        "norm_topk_prob": router["renormalize"],
        "routed_scaling_factor": router["scale"],
        "topk_group": router["kept_groups"],
    }


def write_experts(
    s: Spec, *, experts: str = "n_routed_experts", shared: str = "n_shared_experts", **names: str
) -> dict[str, Any]:
    """The fields that `read_experts` is read from; `experts` and `shared` name two of them, and
    what `write_moe` takes others.
    """
    moe = moe_of(s)
    fields = common.write_moe(moe, experts=experts, size=_SIZE, **names)
    together = moe.keywords["shared"]
    if together is None:
        return fields
    return fields | {shared: together.keywords["hidden"] // fields[_SIZE]}


def next_model(s: Spec) -> tuple[str, int]:
    """Layers beyond the depth belong to the model that predicts one token further."""
    return "model.layers.{i}.eh_proj.weight", len(s.keywords["layers"])
