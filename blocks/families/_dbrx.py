"""DBRX's attention and experts, whose fields are objects of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks import Clip, GatedMLP, GQAttention, MoE, QKNorm, SoftmaxRouter, Spec
from blocks.families._dialects import (
    count,
    read_activation,
    read_head_dim,
    read_noise,
    read_or_null,
    write_activation,
)
from blocks.families._mpt import nested
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.keys import Shape, Stack

if TYPE_CHECKING:
    from torch import Tensor

_POWER = "moe_normalize_expert_weights"


@dataclass(frozen=True)
class Flat(Stack):
    """The experts of a Stack lie one after another along its second axis, which is the first."""

    def shape(self, ours: Sequence[Shape]) -> Shape:
        experts, rows, columns = super().shape(ours)
        return (experts * rows, columns)

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        return super().load(theirs.unflatten(0, (len(self._split(ours)), -1)), ours)

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        return super().save(ours).flatten(0, 1)


def read_attention(c: Config, dim: int, context: int) -> Spec:
    """The attention that `attn_config` says; its θ is said there or as everywhere."""
    inner, heads = nested(c, "attn_config"), c.take("n_heads", int)
    kv_heads, theta = inner.take("kv_n_heads", int, 1), inner.take("rope_theta", float, None)
    c.only("num_key_value_heads", kv_heads)
    if theta is not None:
        c.assume(rope_theta=theta)
    rope = read_rope(c, context)
    if theta not in (None, rope.keywords["theta"]):
        raise inner.error("rope_theta", f"{theta} is not {rope.keywords['theta']}, as said outside")
    cap = inner.take("clip_qkv", float, None)
    clip = Spec(Clip, cap=cap) if cap else None
    return Spec(
        GQAttention,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=read_head_dim(c, dim, heads),
        qk=(*((Spec(QKNorm, norm=clip),) if clip else ()), rope),
        values=clip,
        dropout=inner.take("attn_pdrop", float, 0.0),
    )


def read_experts(c: Config) -> Spec:
    """The mixture that `ffn_config` says."""
    inner = nested(c, "ffn_config")
    inner.take("hidden_size", int, None)  # the model's, whatever it says
    inner.only("uniform_expert_assignment", False)
    inner.take("moe_loss_weight", float, None)
    read_noise(inner, "moe_jitter_eps")
    power = read_or_null(inner, _POWER, 1.0, float)
    if power not in (None, 1.0):
        raise inner.error(_POWER, f"{power} is not supported; 1 and null are")
    act = read_activation(inner.inner("ffn_act_fn") or Config({}, c.file), "name")
    return Spec(
        MoE,
        experts=count(inner, "moe_num_experts", 4),
        top_k=inner.take("moe_top_k", int, 1),
        expert=Spec(GatedMLP, hidden=inner.take("ffn_hidden_size", int, 3584), act=act),
        router=Spec(SoftmaxRouter, renormalize=power is not None),
    )


def write_attention(attention: Any) -> dict[str, Any]:
    """The field that `read_attention` is read from, given the block's options."""
    clip = attention["values"]
    fields = {
        "attn_pdrop": attention["dropout"],
        "clip_qkv": clip.keywords["cap"] if clip else None,
        "kv_n_heads": attention["kv_heads"],
        "rope_theta": attention["qk"][-1].keywords["theta"],
    }
    return {"attn_config": fields}


def write_experts(moe: Any) -> dict[str, Any]:
    """The field that `read_experts` is read from, given the block's options."""
    expert = moe["expert"].keywords
    fields = {
        "ffn_act_fn": {"name": write_activation(expert["act"])},
        "ffn_hidden_size": expert["hidden"],
        "moe_num_experts": moe["experts"],
        "moe_top_k": moe["top_k"],
        _POWER: 1.0 if moe["router"].keywords["renormalize"] else None,
    }
    return {"ffn_config": fields}
