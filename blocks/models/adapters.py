"""Adapters in a whole model: where its Spec says them, which matrices have one, what trains."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from blocks.attention.gate import OutputGate
from blocks.edit import matches, replace, rewrite, walk
from blocks.errors import SpecError
from blocks.models.places import addresses, modules, spread
from blocks.models.stack import Layers
from blocks.ops.shapeless import on_meta
from blocks.spec import Spec
from blocks.wiring.added import Added, Small
from blocks.wiring.dora import DoRA
from blocks.wiring.lora import LoRA
from blocks.wiring.matrices import MATRICES

__all__ = ["trainable"]

ADAPTERS = (LoRA, DoRA)
_LEARNT = ("a.weight", "b.weight", "magnitude")


@dataclass(frozen=True)
class Adapter:
    """What a matrix gets.

    Attributes:
        kind: LoRA or DoRA.
        rank, scale, dropout: as in a `LoRA`.
    """

    kind: type[LoRA]
    rank: int
    scale: float
    dropout: float = 0.0


def is_adapted(spec: Spec[Any]) -> bool:
    """Whether a part of it is an adapter."""
    return any(part.func in ADAPTERS for _, part in walk(spec))


def without_adapters(spec: Spec[Any]) -> Spec[Any]:
    """The model that was adapted; what only adapters shared is shared no more."""
    names = [f"{at}.{name}".rstrip(".") for at, part in walk(spec) for name in _on(part)]
    if not names:
        return spec
    ties = [
        (place, source)
        for place, source in spec.keywords["ties"]
        if not any(matches(place, f"{name}.{kind}") for name in names for kind in _LEARNT)
    ]
    spec = replace(spec, ties=())
    for kind in ADAPTERS:
        while any(part.func is kind for _, part in walk(spec)):
            spec = rewrite(spec, kind, _inner)
    return replace(spec, ties=ties)


def _inner(part: Spec[Any]) -> Spec[Any]:
    return part.keywords["inner"]


def _on(part: Spec[Any]) -> tuple[str, ...]:
    return part.keywords["on"] if part.func in ADAPTERS else ()


def matrices_of(spec: Spec[Any]) -> dict[str, tuple[int, int]]:
    """The matrices that can have an adapter in a model, and their shapes [out in], by address."""
    with on_meta():
        plain = without_adapters(spec)()
    found: dict[str, tuple[int, int]] = {}
    others: set[str] = set()
    for address, part in modules(plain):
        if getattr(type(part), "source", False):
            others.add(address)
        elif type(part) in MATRICES and not {address, address.rpartition(".")[0]} & others:
            weight: Any = part.weight
            found[address] = (weight.shape[0], weight.shape[1])
    return found


def with_adapters(
    spec: Spec[Any], wanted: Mapping[str, Adapter], known: Iterable[str]
) -> Spec[Any]:
    """The Spec with adapters of some matrices.

    Args:
        spec: a whole model.
        wanted: by the address of a matrix.
        known: addresses of all its matrices.

    Errors:
        SpecError: a matrix of no block, but of the assembly itself.
    """
    for owner, each in grouped(spec, wanted, known).items():
        for adapter, on in each.items():
            options = {"rank": adapter.rank, "scale": adapter.scale, "dropout": adapter.dropout}
            wrapped = partial(_wrapped, adapter.kind, {"on": on, **options})
            spec = rewrite(spec, owner, wrapped)
    return spec


def _wrapped(kind: Any, options: dict[str, Any], inner: Spec[Any]) -> Spec[Any]:
    return Spec(kind, inner=inner, **options)


def grouped(
    spec: Spec[Any], wanted: Mapping[str, Any], known: Iterable[str]
) -> dict[str, dict[Any, tuple[str, ...]]]:
    """The smallest blocks with an address of their own -> what is wanted -> of which matrices.

    Args:
        spec, known: as in `with_adapters`.
        wanted: anything that can be compared, by the address of a matrix.
    """
    parts = {at: part.func for at, part in walk(spec) if at}
    owners = {
        at
        for at, kind in parts.items()
        if not hasattr(kind, "transparent") and kind is not OutputGate  # whose slot has more sizes
    }
    known, wanted = tuple(known), dict(wanted)
    for pair in spec.keywords.get("ties", ()):  # a layer that stands in many places is one
        for twins in spread(pair, known):
            for here, there in (twins, twins[::-1]):
                if here in wanted:
                    wanted.setdefault(there, wanted[here])
    within = _by_owner(known, owners)
    found: dict[str, dict[Any, list[str]]] = {}
    for owner, names in _by_owner(wanted, owners).items():
        for name in names:
            value = wanted[f"{owner}.{name}".strip(".")]
            found.setdefault(owner, {}).setdefault(value, []).append(name)
    halves = {at for at, part in walk(spec) if _is_half(part)}
    for owner in found.keys() & halves:
        place = f"{owner}.{next(iter(found[owner].values()))[0]}".lstrip(".")
        reason = "belongs to the assembly, whose own matrices stay as they are"
        raise SpecError(reason, field=place)
    return {
        owner: {value: alike(names, within[owner]) for value, names in each.items()}
        for owner, each in found.items()
    }


def _is_half(part: Spec[Any]) -> bool:
    kind: Any = part.func
    return "ties" in part.keywords or (isinstance(kind, type) and issubclass(kind, Layers))


def _by_owner(matrices: Iterable[str], owners: Collection[str]) -> dict[str, list[str]]:
    """The matrices of each block by their names in it, the smallest block that a Spec names."""
    found: dict[str, list[str]] = {}
    for address in matrices:
        parts = address.split(".")
        for cut in range(len(parts), -1, -1):
            owner = ".".join(parts[:cut])
            if owner in owners or not cut:
                found.setdefault(owner, []).append(".".join(parts[cut:]))
                break
    return found


def alike(names: list[str], known: list[str]) -> tuple[str, ...]:
    """The names, with one pattern for those of all experts.

    Example:
        >>> alike(["experts.0.up", "experts.1.up", "q"], ["experts.0.up", "experts.1.up", "q", "k"])
        ('experts.*.up', 'q')
    """
    left, found = set(names), {}
    for name in names:
        pattern = re.sub(r"(?<![^.])\d+(?![^.])", "*", name)
        if pattern != name and all(one in left for one in known if matches(one, pattern)):
            found[pattern] = None
        else:
            found[name] = None
    return tuple(found)


def adapted_matrices(model: nn.Module) -> dict[str, Added]:
    """What has an adapter, by the address of the matrix; what an architecture adds has none."""
    return {
        address: part
        for address, part in modules(model)
        if isinstance(part, Added) and type(part.a) is Small
    }


def train_adapters(model: nn.Module, more: Collection[str] = ()) -> None:
    """Freezes all but adapters and the parameters at some addresses.

    Args:
        model: one with adapters.
        more: addresses of parameters that train too.
    """
    model.requires_grad_(False)
    for part in adapted_matrices(model).values():
        for learnt in (*part.a.parameters(), *part.b.parameters(), part.magnitude):
            if learnt is not None:
                learnt.requires_grad_(True)
    known = addresses(model)
    for address in more:
        known[address].requires_grad_(True)


def start_adapters(model: nn.Module, drawn: Collection[str], new: bool) -> None:
    """Makes adapters whose tensors were drawn change nothing; the model's first ones train alone.

    Args:
        model: one whose numbers are all there.
        drawn: addresses of what was drawn.
        new: whether it had no adapters before.
    """
    for address, part in adapted_matrices(model).items():
        if f"{address}.magnitude" in drawn:
            part.lengthen()
            part.magnitude.data.copy_(part.lengths())  # with what an adapter has learnt
    if new:
        train_adapters(model)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a model that train, by address: of an adapted one, those of its adapters.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> adapted = blocks.add_adapter(model, on=("layers.0.attention.q",), rank=2)
        >>> {address: tuple(p.shape) for address, p in blocks.trainable(adapted).items()}
        {'layers.0.attention.q.a.weight': (2, 192), 'layers.0.attention.q.b.weight': (192, 2)}
    """
    return {
        address: tensor
        for address, tensor in addresses(model).items()
        if isinstance(tensor, nn.Parameter) and tensor.requires_grad
    }
