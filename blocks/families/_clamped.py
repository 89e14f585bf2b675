"""gpt-oss's experts: their fields of config.json, and their tensors, all experts in one."""

from __future__ import annotations

from typing import Any

from blocks import ClampedGLU, MoE, Spec, TopKRouter, at
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.keys import Stack

_THEIRS = "model.layers.{i}.mlp.experts"
_OURS = "layers.{i}.mlp.experts.{e}"
_GATE_UP = tuple(f"{_OURS}.{part}.weight" for part in ("gate", "up"))
_GATE_UP_BIAS = tuple(f"{_OURS}.{part}.bias" for part in ("gate", "up"))
_DOWN, _DOWN_BIAS = (f"{_OURS}.down.weight",), (f"{_OURS}.down.bias",)

EXPERT_KEYS = (
    ("model.layers.{i}.mlp.router.{w}", "layers.{i}.mlp.router.{w}"),
    Stack(f"{_THEIRS}.gate_up_proj", _GATE_UP, interleaved=True, transposed=True),
    Stack(f"{_THEIRS}.gate_up_proj_bias", _GATE_UP_BIAS, interleaved=True),
    Stack(f"{_THEIRS}.down_proj", _DOWN, transposed=True),
    Stack(f"{_THEIRS}.down_proj_bias", _DOWN_BIAS),
)


def read_experts(c: Config) -> Spec:
    """The mixture of clamped experts."""
    hidden = c.take("intermediate_size", int, 2880)
    alpha, limit = c.take("swiglu_alpha", float, 1.702), c.take("swiglu_limit", float, 7.0)
    return Spec(
        MoE,
        experts=count(c, "num_local_experts", 128),
        top_k=c.take("num_experts_per_tok", int, 4, aliases=("experts_per_token",)),
        expert=Spec(ClampedGLU, hidden=hidden, alpha=alpha, limit=limit, bias=True),
        router=Spec(TopKRouter, bias=True),
    )


def write_experts(s: Spec) -> dict[str, Any]:
    """The fields that `read_experts` is read from."""
    moe = at(s, "layers.0.mlp").keywords
    expert = moe["expert"].keywords
    return {
        "intermediate_size": expert["hidden"],
        "num_experts_per_tok": moe["top_k"],
        "num_local_experts": moe["experts"],
        "swiglu_alpha": expert["alpha"],
        "swiglu_limit": expert["limit"],
    }
