"""Mamba-2's mixer in config.json and in files, for all families that have one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from blocks import GatedRMSNorm, Mamba2, Spec, at
from blocks.hub.config import Config

# Our option: their field, and what its absence means.
Fields = dict[str, tuple[str, Any]]
Take = Callable[[str, Any, Any], Any]

_KINDS = {"bias": bool, "conv_bias": bool, "head_dim": int | Literal["auto"]}
_LIMITS = "time_step_limit"


def read_mixer(
    c: Config,
    dim: int,
    fields: Fields,
    eps: float,
    *,
    take: Take | None = None,
    **options: Any,
) -> Spec:
    """The mixer.

    Args:
        c: the reader.
        dim: the model's width.
        fields: of the options `heads`, `head_dim`, `state_dim`, `groups`, `kernel`, `bias` and
            `conv_bias`, of `expand`, how many times wider than the model it is inside, and of
            `chunk`, which changes no number: ours cuts texts by what is fast.
        eps: of the norm inside.
        take: reads a field, where it may stand elsewhere.
        **options: what the family decides.
    """
    take = take or c.take
    found = {
        ours: take(theirs, _KINDS.get(ours, int), absent)
        for ours, (theirs, absent) in fields.items()
    }
    inner, _ = found.pop("expand") * dim, found.pop("chunk")
    heads, width, groups = (found[name] for name in ("heads", "head_dim", "groups"))
    heads = inner // width if heads is None else heads
    width = inner // heads if width == "auto" else width
    if heads * width != inner:
        reason = f"{heads} heads of {width} are not {inner} channels"
        raise c.error(fields["heads"][0], reason)
    if heads % groups:
        raise c.error(fields["groups"][0], f"{heads} heads can't share {groups} groups evenly")
    norm = Spec(GatedRMSNorm, groups=groups, eps=eps)
    return Spec(Mamba2, **found | {"heads": heads, "head_dim": width}, norm=norm, **options)


def write_mixer(s: Spec, fields: Fields) -> dict[str, Any]:
    """The fields that `read_mixer` is read from."""
    options = mixers(s)[0].keywords
    inner = options["heads"] * options["head_dim"]
    found = {**options, "expand": inner // s.keywords["dim"], "chunk": fields["chunk"][1]}
    return {theirs: found[ours] for ours, (theirs, _) in fields.items()}


def read_limits(c: Config, take: Take | None = None) -> tuple[float, float]:
    """Between which two numbers a step's length stays."""
    low, high = (take or c.take)(_LIMITS, tuple[float, float], (0.0, math.inf))
    if not 0 <= low < high:
        raise c.error(_LIMITS, f"nothing is between {low} and {high}")
    return low, high


def write_limits(s: Spec) -> dict[str, Any]:
    """The field that `read_limits` is read from."""
    return {_LIMITS: list(mixers(s)[0].keywords["limits"])}


def mixers(s: Spec) -> list[Spec]:
    """The mixers of those layers that have one."""
    layers = s.keywords["layers"]
    return [at(layer, "mixer") for layer in layers if "mixer" in layer.keywords["steps"]]


def mixer_keys(theirs: str) -> tuple[tuple[str, str], ...]:
    """The names of a mixer's tensors, by what its own name is."""
    names = {"inputs.{w}": "in_proj.{w}", "conv.{w}": "conv1d.{w}", "out.{w}": "out_proj.{w}"}
    names |= {name: name for name in ("A_log", "D", "dt_bias", "norm.weight")}
    return tuple((f"{theirs}.{name}", f"layers.{{i}}.mixer.{ours}") for ours, name in names.items())
