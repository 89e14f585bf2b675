"""Which of Command A+'s layers see a window, have positions or experts, and what those are."""

from __future__ import annotations

from typing import Any

from blocks import SigmoidRouter, Spec, TopKRouter, at, replace
from blocks.families import _decoder as common
from blocks.families._layers import (
    attentions,
    moe_of,
    read_first_dense,
    read_slides,
    write_first_dense,
    write_slides,
)
from blocks.families._rope import write_rope
from blocks.hub.config import Config

_PREFIX, _SIZE = "prefix_dense_sliding_window_pattern", "prefix_dense_intermediate_size"
_COMBINED, _SHARED = "shared_expert_combination_strategy", "num_shared_experts"
_SCALES = {"average": 0.5, "sum": 1.0}

Flags = tuple[bool, ...]


def read_kinds(c: Config) -> tuple[Flags, Flags, Flags]:
    """For each layer whether it sees a window alone, has one MLP instead of experts, and turns."""
    dense, first = read_first_dense(c, 0), c.take("first_k_dense_replace", int, 0, low=0)
    early, late = c.take(_PREFIX, int, 1), c.take("sliding_window_pattern", int, 4)
    slides = read_slides(
        c, lambda i: (i + 1) % early != 0 if i < first else (i - first + 1) % late != 0
    )
    turns = tuple(a or (b and early == 1) for a, b in zip(slides, dense, strict=True))
    return slides, dense, turns


def write_kinds(s: Spec) -> dict[str, Any]:
    """The fields that `read_kinds` is read from, and the size of the dense MLPs."""
    dense = write_first_dense(s, listed=True)
    size = {_SIZE: dense.pop("intermediate_size")} if "intermediate_size" in dense else {}
    pairs = zip(dense["mlp_layer_types"], attentions(s), strict=True)
    still = any(kind == "dense" and not part.keywords["qk"] for kind, part in pairs)
    return {_PREFIX: 2 if still else 1} | write_slides(s) | dense | size


def write_newer_rope(s: Spec) -> dict[str, Any]:
    """The fields of `read_rope` in the newer dialect, as the reference reads no other."""
    fields = write_rope(s)
    theta, scaling = fields.pop("rope_theta"), fields.pop("rope_scaling")
    inner = {"rope_theta": theta} | (scaling or {"rope_type": "default"})
    return fields | {"rope_parameters": inner}


def read_mixture(c: Config) -> tuple[Spec, Spec]:
    """The experts, and the MLP of the layers that have none."""
    chosen = c.take("expert_selection_fn", str, "softmax", aliases=("moe_gate_act",))
    renormalize = c.take("norm_topk_prob", bool, True)
    routers = {
        "softmax": Spec(TopKRouter),
        "sigmoid": Spec(SigmoidRouter, renormalize=renormalize, correction=False),
    }
    if chosen not in routers:
        raise c.error("expert_selection_fn", f"{chosen!r} is not known", "known: softmax, sigmoid")
    moe = common.moe(c, routers[chosen], experts=8, hidden=22_528)
    expert = moe.keywords["expert"]
    dense = replace(expert, hidden=c.take(_SIZE, int, expert.keywords["hidden"]))
    strategy = c.take(_COMBINED, str, "average")
    if strategy not in _SCALES:
        raise c.error(_COMBINED, f"{strategy!r} is not known", f"known: {', '.join(_SCALES)}")
    number = c.take(_SHARED, int, 0, aliases=("moe_num_shared_experts",), low=0)
    if number:
        shared = replace(expert, hidden=number * expert.keywords["hidden"])
        moe = replace(moe, shared=shared, scale=_SCALES[strategy])
    return moe, dense


def write_mixture(s: Spec) -> dict[str, Any]:
    """The fields that `read_mixture` is read from but the size of the dense MLP."""
    moe = moe_of(s)
    fields, shared = common.write_moe(moe, experts="num_experts"), moe.keywords["shared"]
    number = shared.keywords["hidden"] // fields["intermediate_size"] if shared else 0
    router = at(moe, "router")
    return fields | {
        "expert_selection_fn": "sigmoid" if router.func is SigmoidRouter else "softmax",
        "norm_topk_prob": router.keywords.get("renormalize", True),
        _COMBINED: "sum" if moe.keywords["scale"] == 1.0 else "average",
        _SHARED: number,
    }
