"""RoPE in both dialects of config.json, read and written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from blocks import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    LongRoPEScaling,
    RoPE,
    Spec,
    YarnScaling,
    walk,
)
from blocks.hub.config import REQUIRED, Config
from blocks.positions.scaling import Scaling
from blocks.positions.yarn import yarn_magnitude


def read_rope(
    c: Config,
    context: int,
    *,
    theta: float = 10_000.0,
    rotated: float | None = None,
    trained: int | None = None,
    pairing: Literal["half", "adjacent"] = "half",
    scaling: Scaling | None = None,
) -> Spec:
    """RoPE from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before).

    What stands inside the nested object wins, then the top level, then the family's default.

    Args:
        c: the reader.
        context: `max_position_embeddings`.
        theta: the family's default.
        rotated: the family's default share of turned channels; None where all must turn.
        trained: the family's default of the length before stretching; None is the context.
        pairing: which channels turn together.
        scaling: the family's default, of its default theta alone.
    """
    new, old = c.inner("rope_parameters"), c.inner("rope_scaling")
    if new is not None and old is not None:
        raise c.error("rope_scaling", "stands beside rope_parameters; only one can be meant")
    if scaling is not None and new is None and old is None:
        c.only("rope_theta", theta)
    else:
        scaling = None
    inner = new or old or Config({}, c.file)
    return Spec(
        RoPE,
        theta=read_theta(c, inner, "rope_theta", theta),
        rotated=read_rotated(c, inner, rotated),
        pairing=pairing,
        scaling=scaling or read_scaling(c, inner, context, trained or context),
    )


def read_theta(c: Config, inner: Config, name: str, absent: float) -> float:
    """θ as the nested object says it, else the field `name` beside it, else the default."""
    said = inner.take("rope_theta", float, None)
    if said is None:
        return c.take(name, float, absent)
    if c.data.get(name) is None:
        c.read[name] = c.assumed[name] = None
    elif (outer := c.take(name, float)) not in (said, absent):  # a default is written beside it
        raise c.error(name, f"is {outer} here, {said} in {inner.within}")
    return said


def read_rotated(c: Config, inner: Config, absent: float | None) -> float:
    """The share of turned channels, found likewise; without a default all must turn."""
    name = "partial_rotary_factor"
    if absent is None:
        for each in (c, inner):
            each.only(name, 1.0)
        return 1.0
    said = inner.take(name, float, None)
    outer = c.take(name, float, absent if said is None else None)
    return outer if said is None else said


def read_scaling(c: Config, inner: Config, context: int, trained: int) -> Scaling | None:
    """The scaling that a nested object says."""
    old = inner.take("type", str, None)
    kind = inner.take("rope_type", str, old or "default")
    if old not in (None, kind) and not {old, kind} <= {"su", "yarn", "longrope"}:
        raise inner.error("rope_type", f"is {kind!r}, and type is {old!r}")
    within = inner.take("original_max_position_embeddings", int, trained)
    trained = c.take("original_max_position_embeddings", int, within)
    if kind == "default":
        return None
    if "short_factor" in inner.data and kind in ("su", "yarn"):
        kind = "longrope"  # what Phi-3's first files called it
    if kind == "longrope":
        return _read_longrope(inner, context, trained)
    factor = inner.take("factor", float, None if kind == "yarn" else REQUIRED)
    if kind == "linear":
        return LinearScaling(factor)
    if kind == "dynamic":
        return DynamicScaling(factor, context)
    if kind == "llama3":
        low, high = (inner.take(f"{end}_freq_factor", float) for end in ("low", "high"))
        return Llama3Scaling(factor, low, high, trained)
    if kind == "yarn":
        return _read_yarn(inner, context, trained, factor)
    known = "default, linear, dynamic, llama3, yarn, longrope"
    raise inner.error("rope_type", f"{kind!r} is not known", f"known: {known}")


def _read_yarn(inner: Config, context: int, trained: int, factor: float | None) -> YarnScaling:
    factor = context / trained if factor is None else factor
    magnitude = inner.take("attention_factor", float, None)
    one, all_dims = (inner.take(name, float, None) for name in ("mscale", "mscale_all_dim"))
    if magnitude is None and one and all_dims:
        magnitude = yarn_magnitude(factor, one) / yarn_magnitude(factor, all_dims)
    return YarnScaling(
        factor,
        trained,
        fast=inner.take("beta_fast", float, 32.0),
        slow=inner.take("beta_slow", float, 1.0),
        magnitude=magnitude,
        truncate=inner.take("truncate", bool, True),
    )


def _read_longrope(inner: Config, context: int, trained: int) -> LongRoPEScaling:
    factor = inner.take("factor", float, context / trained)
    magnitude = inner.take("attention_factor", float, _longrope_magnitude(factor, trained))
    return LongRoPEScaling(
        short=inner.take("short_factor", tuple[float, ...]),
        long=inner.take("long_factor", tuple[float, ...]),
        trained=trained,
        short_magnitude=inner.take("short_mscale", float, magnitude),
        long_magnitude=inner.take("long_mscale", float, magnitude),
    )


def _longrope_magnitude(factor: float, trained: int) -> float:
    return math.sqrt(1 + math.log(factor) / math.log(max(trained, 2))) if factor > 1 else 1.0


def ropes(layers: Iterable[Spec]) -> list[Spec]:
    """The RoPE of every layer that has one."""
    return [part for layer in layers for _, part in walk(layer) if part.func is RoPE]


def reach(layers: Iterable[Spec], context: int) -> int:
    """How many tokens `max_position_embeddings` stands for: under these scalings of all layers it
    stays as it was before the stretching.
    """
    return round(context * _stretched(layers))


def unstretched(layers: Sequence[Spec], context: int) -> int:
    """The inverse of `reach`."""
    return round(context / _stretched(layers))


def _stretched(layers: Iterable[Spec]) -> float:
    found = {rope.keywords["scaling"] for rope in ropes(set(layers))}
    scaling = found.pop() if len(found) == 1 else None
    return scaling.factor if isinstance(scaling, DynamicScaling | LinearScaling) else 1.0


def write_rope(s: Spec, *, mscales: bool = False) -> dict[str, Any]:
    """The fields from which `read_rope` makes the model's RoPE, in the dialect every reader knows.

    Args:
        s: the model.
        mscales: whether LongRoPE's magnitudes are always written out.
    """
    context = s.keywords["context"]
    options = next(iter(ropes(s.keywords["layers"])), Spec(RoPE)).keywords
    fields: dict[str, Any] = {"rope_theta": options["theta"], "rope_scaling": None}
    if options["rotated"] != 1.0:
        fields["partial_rotary_factor"] = options["rotated"]
    scaling = options["scaling"]
    if isinstance(scaling, LongRoPEScaling):
        fields["rope_scaling"] = _write_longrope(scaling, context, mscales)
        fields["original_max_position_embeddings"] = scaling.trained
    elif scaling is not None:
        fields["rope_scaling"] = WRITE[type(scaling)](scaling)
    fields["max_position_embeddings"] = unstretched(s.keywords["layers"], context)
    return fields


def _write_llama3(s: Llama3Scaling) -> dict[str, Any]:
    return {
        "rope_type": "llama3",
        "factor": s.factor,
        "low_freq_factor": s.low,
        "high_freq_factor": s.high,
        "original_max_position_embeddings": s.trained,
    }


def _write_yarn(s: YarnScaling) -> dict[str, Any]:
    return {
        "rope_type": "yarn",
        "factor": s.factor,
        "original_max_position_embeddings": s.trained,
        "beta_fast": s.fast,
        "beta_slow": s.slow,
        "attention_factor": s.magnitude,
        "truncate": s.truncate,
    }


def _write_longrope(s: LongRoPEScaling, context: int, mscales: bool) -> dict[str, Any]:
    """Three fields, or six with magnitudes: readers of the older dialect count them."""
    fields = {"type": "longrope", "short_factor": list(s.short), "long_factor": list(s.long)}
    if mscales or s.short_magnitude != s.long_magnitude:
        return fields | {
            "short_mscale": s.short_magnitude,
            "long_mscale": s.long_magnitude,
            "original_max_position_embeddings": s.trained,
        }
    implied = s.short_magnitude == _longrope_magnitude(context / s.trained, s.trained)
    return fields if implied else fields | {"attention_factor": s.short_magnitude}


WRITE: dict[type[Scaling], Callable[[Any], dict[str, Any]]] = {
    LinearScaling: lambda s: {"rope_type": "linear", "factor": s.factor},
    DynamicScaling: lambda s: {"rope_type": "dynamic", "factor": s.factor},
    Llama3Scaling: _write_llama3,
    YarnScaling: _write_yarn,
}
