"""Two RoPEs in one model: one of the layers that see everything, one of those with a window."""

from __future__ import annotations

from typing import Any

from blocks import RoPE, Spec, SymmetricWindow, Window, at
from blocks.families._rope import WRITE, read_rotated, read_scaling, read_theta, ropes
from blocks.hub.config import Config


def read_ropes(
    c: Config,
    context: int,
    theta: float,
    local: str | None = None,
    local_theta: float = 10_000.0,
    rotated: float | None = None,
    whole: str = "rope_theta",
    shared: bool = False,
) -> tuple[Spec, Spec]:
    """RoPE without a window, and with one.

    transformers 5 nests `rope_parameters` by the kind of layer. Before, `rope_scaling` was that of
    the layers without a window alone.

    Args:
        c: the reader.
        context: `max_position_embeddings`.
        theta: the family's default.
        local: the older field of the windows' theta; None where both have the same.
        local_theta: its default.
        rotated: the family's default share of turned channels; None where all must turn.
        whole: the older field of the theta without a window.
        shared: whether the older scaling is that of the windows as well.
    """
    new, old = c.inner("rope_parameters"), c.inner("rope_scaling")
    if new is not None and old is not None:
        raise c.error("rope_scaling", "stands beside rope_parameters; only one can be meant")
    none = Config({}, c.file)
    nested = none if new is None else new
    full, sliding = (nested.inner(f"{kind}_attention") for kind in ("full", "sliding"))
    names = ((whole, theta), (local, local_theta) if local else (whole, theta))
    inners = (full or old or none, sliding or (shared and old) or none)
    first, second = (
        Spec(
            RoPE,
            theta=read_theta(c, inner, *name),
            rotated=read_rotated(c, inner, rotated),
            scaling=read_scaling(c, inner, context, context),
        )
        for inner, name in zip(inners, names, strict=True)
    )
    return first, second


def write_ropes(
    s: Spec,
    local: str | None = None,
    both: float | None = None,
    rotated: float = 1.0,
    whole: str = "rope_theta",
    shared: bool = False,
) -> dict[str, Any]:
    """The fields that `read_ropes` is read from, in the older dialect where it can say them.

    Args:
        s: the model.
        local: the older field of the windows' theta.
        both: the only theta that the older dialect means for both, where there is no such field.
        rotated: the share of turned channels that the family means without saying it.
        whole: the older field of the theta without a window.
        shared: whether the older scaling is that of the windows as well.
    """
    first: dict[bool, Spec] = {}
    for layer in s.keywords["layers"]:
        mask = at(layer, "attention").keywords["mask"]
        slides = isinstance(mask, SymmetricWindow | Window)
        first.setdefault(slides, *ropes([layer]))
    full, sliding = (first.get(slides, first.get(not slides)) for slides in (False, True))
    if full is None or sliding is None:
        return {}
    thetas = [rope.keywords["theta"] for rope in (full, sliding)]
    wanted = full.keywords["scaling"] if shared else None
    if sliding.keywords["scaling"] == wanted and (local or thetas == [both, both]):
        fields = {whole: thetas[0], "rope_scaling": _scaling(full)}
        return fields | ({local: thetas[1]} if local else {})
    pair = {"full_attention": full, "sliding_attention": sliding}
    return {"rope_parameters": {kind: write_inner(rope, rotated) for kind, rope in pair.items()}}


def _scaling(rope: Spec) -> dict[str, Any] | None:
    scaling = rope.keywords["scaling"]
    return None if scaling is None else WRITE[type(scaling)](scaling)


def write_inner(rope: Spec, rotated: float = 1.0) -> dict[str, Any]:
    """What the newer dialect nests for one kind of layers; `rotated` is as in `write_ropes`."""
    share = rope.keywords["rotated"]
    said = {"rope_theta": rope.keywords["theta"], **(_scaling(rope) or {"rope_type": "default"})}
    return said if share == rotated else said | {"partial_rotary_factor": share}
