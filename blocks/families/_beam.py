"""Beam's layers: what the branches before have found fades, so that all count alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from blocks import Chain, OutputGate, QKNorm, QueryScale, Residual, RoPE, Spec, Window, replace
from blocks.families import _decoder as common
from blocks.families import _layers as kinds
from blocks.families._rope import read_scaling
from blocks.families._ropes import write_inner
from blocks.hub.config import Config

_KINDS = ("full_attention", "sliding_attention")
_FAR = Spec(QueryScale, trained=2048, by="power")  # where nothing turns


def _read_places(c: Config, kind: str, context: int) -> Spec:
    """What tells places in the layers of a kind: a RoPE, or nothing but how far a query is."""
    every = c.inner("rope_parameters")
    if every is None:
        return Spec(RoPE) if kind == _KINDS[1] else _FAR
    own = every.inner(kind)
    if own is None:
        return _FAR
    own.only("partial_rotary_factor", 1.0)
    theta, scaling = own.take("rope_theta", float), read_scaling(c, own, context, context)
    return Spec(RoPE, theta=theta, scaling=scaling)


def read_attentions(c: Config, dim: int, context: int, norm: Spec) -> tuple[Spec, ...]:
    """The attention of each layer."""
    places, norms = [_read_places(c, kind, context) for kind in _KINDS], Spec(QKNorm, norm=norm)
    bias, gate = c.take("attention_bias", bool, False), Spec(OutputGate, head_bias=True)
    one = common.attention(c, dim, kv_heads=8, head_dim=128, bias=bias, gate=gate)
    depth = kinds.count(c, "num_hidden_layers")
    slides = kinds.read_slides(c, lambda i: (i + 1) % 6 != 0 and i != depth - 1)
    masks = kinds.masks(c, slides, c.take("sliding_window", int, 512))
    return tuple(
        replace(one, mask=mask, qk=(norms, places[slide]))
        for mask, slide in zip(masks, slides, strict=True)
    )


def write_attentions(s: Spec) -> dict[str, Any]:
    """The fields of all but the MLPs."""
    every = [attention.keywords for attention in kinds.attentions(s)]
    told: dict[str, Any] = dict.fromkeys(_KINDS)
    for attention in every:
        place = attention["qk"][-1]
        if place.func is RoPE:
            told[_KINDS[isinstance(attention["mask"], Window)]] = write_inner(place)
    plain = common.write_decoder(s, head_dim=True, rope={"rope_parameters": told})
    return plain | kinds.write_slides(s) | {"attention_bias": every[0]["bias"]}


def wired(norm: Spec, attentions: Iterable[Spec], mlps: Sequence[Spec]) -> tuple[Spec, ...]:
    """The layers: the nth sum is √((n−1)/n) of what came in and 1/√n of what the branch found."""
    around = {"norm_in": norm, "norm_out": norm}
    layers = []
    for i, (attention, mlp) in enumerate(zip(attentions, mlps, strict=True)):
        inside = (("attention", attention, 2 * i + 2), ("mlp", mlp, 2 * i + 3))
        steps = {
            name: Spec(Residual, inner=it, scale=n**-0.5, carry=((n - 1) / n) ** 0.5, **around)
            for name, it, n in inside
        }
        layers.append(Spec(Chain, steps=steps))
    return tuple(layers)
