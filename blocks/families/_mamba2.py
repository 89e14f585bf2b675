"""Mamba-2's mixer in config.json and in files, for all families that have one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from blocks import GatedRMSNorm, Mamba2, Spec
from blocks.families._dialects import count, read_activation
from blocks.families._hybrids import kinds_of, options_of
from blocks.hub.config import Config

# Our option: their field, and what its absence means.
Fields = dict[str, tuple[str, Any]]
Take = Callable[[str, Any, Any], Any]

_KINDS = {"bias": bool, "conv_bias": bool, "head_dim": int | Literal["auto"]}
_LIMITS = "time_step_limit"

# What Bamba and those after it call them.
HYBRID: Fields = {
    "heads": ("mamba_n_heads", 128),
    "head_dim": ("mamba_d_head", "auto"),
    "state_dim": ("mamba_d_state", 256),
    "groups": ("mamba_n_groups", 1),
    "expand": ("mamba_expand", 2),
    "kernel": ("mamba_d_conv", 4),
    "bias": ("mamba_proj_bias", False),
    "conv_bias": ("mamba_conv_bias", True),
    "chunk": ("mamba_chunk_size", 256),
}


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


def read_silu(c: Config) -> Literal["silu"]:
    """The one activation that all published models have, before and after their mixers."""
    if read_activation(c) != "silu":
        raise c.error("hidden_act", "is not silu, which all such models have")
    return "silu"


def read_places(c: Config, name: str) -> list[str]:
    """The address of what comes first in each layer: the field lists those that attend."""
    depth, listed = count(c, "num_hidden_layers"), c.take(name, tuple[int, ...], ())
    if not listed:
        raise c.error(name, "no layer has attention")
    if min(listed) < 0:
        raise c.error(name, f"{min(listed)} is no layer")
    if max(listed) >= depth:
        reason = f"{depth} layers, but {name} needs at least {max(listed) + 1}"
        raise c.error("num_hidden_layers", reason)
    return ["attention" if i in listed else "mixer" for i in range(depth)]


def write_places(s: Spec, name: str) -> dict[str, Any]:
    """The field that `read_places` is read from."""
    return {name: [i for i, kind in enumerate(kinds_of(s)) if kind == "attention"]}


def write_mixer(s: Spec, fields: Fields) -> dict[str, Any]:
    """The fields that `read_mixer` is read from."""
    options = options_of(s)
    if options is None:
        return {}
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
    options = options_of(s)
    return {} if options is None else {_LIMITS: list(options["limits"])}


def mixer_keys(theirs: str) -> tuple[tuple[str, str], ...]:
    """The names of a mixer's tensors, by what its own name is."""
    names = {"inputs.{w}": "in_proj.{w}", "conv.{w}": "conv1d.{w}", "out.{w}": "out_proj.{w}"}
    names |= {name: name for name in ("A_log", "D", "dt_bias", "norm.weight")}
    return tuple((f"{theirs}.{name}", f"layers.{{i}}.mixer.{ours}") for ours, name in names.items())
