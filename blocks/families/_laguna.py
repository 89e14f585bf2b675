"""Laguna's attention: with a gate, and in each layer with heads, a mask and a RoPE of its own."""

from __future__ import annotations

from typing import Any, Literal

from blocks import OutputGate, QKNorm, RoPE, Spec, Window, replace
from blocks.families import _decoder as common
from blocks.families import _layers as kinds
from blocks.families._ropes import read_ropes, write_ropes
from blocks.hub.config import Config

_HEADS = "num_attention_heads_per_layer"
_OVER: dict[str, Literal["channel", "head"]] = {"per-head": "head", "per-element": "channel"}
_ROPES = (Spec(RoPE, theta=5e5, rotated=0.5), Spec(RoPE, theta=1e4))  # where a file says none


def read_attentions(c: Config, dim: int, context: int, norm: Spec) -> tuple[Spec, ...]:
    """The attention of each layer."""
    c.only("qkv_bias", False)
    said = c.inner("rope_parameters") is not None
    ropes, norms = read_ropes(c, context, 5e5, rotated=1.0), Spec(QKNorm, norm=norm)
    ropes = ropes if said else _ROPES
    bias = c.take("attention_bias", bool, False)
    gate = Spec(OutputGate, act="softplus", over=_read_over(c))
    one = common.attention(c, dim, kv_heads=8, head_dim=128, bias=bias, gate=gate)
    window = c.take("sliding_window", int, 512)
    masks = kinds.masks(c, kinds.read_slides(c, lambda i: False), window)
    heads = c.take(_HEADS, tuple[int, ...], None) or (one.keywords["heads"],) * len(masks)
    kinds.check_depth(c, _HEADS, heads, len(masks))
    return tuple(
        replace(one, heads=n, mask=mask, qk=(norms, ropes[isinstance(mask, Window)]))
        for n, mask in zip(heads, masks, strict=True)
    )


def _read_over(c: Config) -> Literal["channel", "head"]:
    gating = c.take("gating", bool | str, True)
    gating = "per-head" if gating is True else gating
    if gating not in _OVER:
        raise c.error("gating", f"{gating!r} is not known", f"known: {', '.join(_OVER)}")
    return _OVER[gating]


def write_attentions(s: Spec) -> dict[str, Any]:
    """The fields of all but the MLPs."""
    every = [attention.keywords for attention in kinds.attentions(s)]
    gatings = {ours: theirs for theirs, ours in _OVER.items()}
    own = {
        "attention_bias": every[0]["bias"],
        "gating": gatings[every[0]["gate"].keywords["over"]],
        _HEADS: [attention["heads"] for attention in every],
    }
    plain = common.write_decoder(s, head_dim=True, rope=write_ropes(s))
    return plain | kinds.write_slides(s) | own
