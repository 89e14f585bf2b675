"""A live model of another Spec that shares the tensors of the one it is made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.hub.fill import assign
from blocks.hub.packing import put_packed
from blocks.models.adapters import adapted_matrices, is_adapted, train_adapters, trainable
from blocks.models.packing import packed_matrices, packed_ties
from blocks.models.places import addresses, modules, tie
from blocks.ops.shapeless import on_meta
from blocks.spec import Spec
from blocks.wiring.added import Added, dense

__all__: list[str] = []

_TOLD = ("generation", "source_config", "origin")


def rebuilt(model: Any, spec: Spec, given: Mapping[str, Tensor], change: str) -> Any:
    """The model of another Spec; tensors are those given, and else those that `model` has.

    Args:
        model: whose tensors are shared, which stays as it is.
        spec: what to build.
        given: tensors by address.
        change: what was done, for the provenance.

    Errors:
        SpecError: a tensor that neither has.
    """
    with on_meta():
        made: Any = spec()
    put_packed(made, packed_matrices(model))
    wanted = addresses(made)
    held = {**addresses(model), **given}
    assign(made, {address: held[address] for address in wanted if address in held})
    tie(made, packed_ties(made, spec.keywords["ties"]))
    for address, tensor in addresses(made).items():
        if tensor.is_meta:
            raise SpecError("nothing is known of its numbers", field=address)
    for name in _TOLD:
        if hasattr(model, name):
            setattr(made, name, getattr(model, name))
    if (origin := getattr(model, "provenance", None)) is not None:
        made.provenance = replace(origin, changes=(*origin.changes, change))
    return made.train(model.training)


def adapted(
    model: Any,
    spec: Spec,
    given: Mapping[str, Tensor],
    change: str,
    *,
    more: Collection[str] = (),
    dtype: torch.dtype | None = None,
) -> Any:
    """The model of a Spec with adapters, of which those that aren't given are drawn.

    Args:
        model, spec, given, change: as in `rebuilt`.
        more: addresses of parameters that train beside the adapters.
        dtype: of what is drawn; that of its matrix by default.
    """
    with on_meta():
        shapes: Any = spec()
    put_packed(shapes, packed_matrices(model))
    held = addresses(model)
    bases = dict(modules(model))  # of those that share an address, the innermost
    drawn: dict[str, Tensor] = {}
    places: dict[int, list[str]] = {}  # a layer that stands in many has one adapter
    for address, part in adapted_matrices(shapes).items():
        places.setdefault(id(part), []).append(address)
    for address, part in adapted_matrices(shapes).items():
        for name, start in _start(part, bases[address], dtype).items():
            everywhere = [f"{place}.{name}" for place in places[id(part)]]
            if not any(one in held or one in given or one in drawn for one in everywhere):
                drawn[everywhere[0]] = start
    already = [a for a in trainable(model) if a not in given] if is_adapted(model.spec) else []
    fresh = {a: held[a].detach().clone() for a in more if a not in given}
    made = rebuilt(model, spec, {**drawn, **fresh, **given}, change)
    train_adapters(made, {*already, *more})
    return made


def _start(part: Added, base: Any, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """A, B and lengths that change nothing."""
    weight = dense(base).detach()
    like: dict[str, Any] = {"device": weight.device, "dtype": dtype or weight.dtype}
    a = nn.Linear(part.a.in_features, part.a.out_features, bias=False, **like)
    start = {"a.weight": a.weight.detach()}
    start["b.weight"] = torch.zeros(part.b.out_features, part.b.in_features, **like)
    if part.magnitude is not None:
        start["magnitude"] = weight.norm(dim=1).to(**like)
    return start
