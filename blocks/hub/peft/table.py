"""Which of their matrices hold which of ours, for adapters that lie beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from blocks.errors import CheckpointError
from blocks.families._halves import Halves
from blocks.hub.family import Family
from blocks.hub.keys import Join, Mapped, Rule, Stack, Transpose
from blocks.hub.save import spec_of
from blocks.models.adapters import matrices_of, without_adapters
from blocks.models.places import addresses
from blocks.ops.shapeless import on_meta

__all__: list[str] = []

PREFIX = "base_model.model."
# Rules that move rows of [out in] alone, so that what they do to W they do to B.
_ROWS = (Rule, Transpose, Join, Stack, Halves)
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """The names of a model's tensors in its family's files.

    Attributes:
        family: whose names they are.
        known: their name -> how it holds ours, every form that files have.
        usual: the form that the family's files have today, of each of ours once.
        shapes: by our address, of the model without adapters.
        matrices: our addresses of matrices that can have an adapter.
    """

    family: Family
    known: dict[str, Mapped]
    usual: list[Mapped]
    shapes: dict[str, Shape]
    matrices: dict[str, tuple[int, int]]

    def shapes_of(self, mapped: Mapped) -> list[Shape]:
        return [self.shapes[address] for address in mapped.ours]


def table_of(model: Any, family: str | None) -> Table:
    """The names of a model.

    Errors:
        CheckpointError: nobody knows of which family it is.
    """
    from blocks.families import family_of, model_types

    spec = without_adapters(spec_of(model))
    told = family or getattr(getattr(model, "provenance", None), "family", None)
    if told not in model_types():
        raise CheckpointError(
            "the names of an adapter's tensors are a family's, and nobody says of which one "
            "this model is"
            if told is None
            else f"{told!r} is no family",
            field="family",
            hint='family="llama", for instance',
        )
    found = family_of(told)
    with on_meta():
        plain: Any = spec()
    shapes = {address: tuple(tensor.shape) for address, tensor in addresses(plain).items()}
    try:
        keys = found.table(spec)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"{found.model_type} has no names for the parts of this model"
        raise CheckpointError(reason, field="family") from error
    known: dict[str, Mapped] = {}
    for mapped in keys.candidates(list(shapes)):
        if not mapped.rule.beside(mapped.theirs):
            known.setdefault(mapped.theirs, mapped)
    return Table(found, known, keys.chosen(list(shapes)), shapes, matrices_of(spec))


def moves_rows(rule: Rule) -> bool:
    """Whether a rule does to B what it does to W."""
    return type(rule) in _ROWS


def is_turned(rule: Rule) -> bool:
    """Whether their W is [in out]."""
    return isinstance(rule, Transpose) or bool(getattr(rule, "transposed", False))


def cut(mapped: Mapped, theirs: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    """What belongs to each of ours of a tensor that has their rows: B [O r], or lengths [O]."""
    widths = [(shape[0], *theirs.shape[1:][-1:]) for shape in shapes]
    turned = is_turned(mapped.rule) and theirs.dim() > 1
    return mapped.rule.load(theirs.mT if turned else theirs, widths)


def joined(mapped: Mapped, ours: Sequence[Tensor]) -> Tensor:
    """The inverse of `cut`."""
    theirs = mapped.rule.save(ours)
    return theirs.mT if is_turned(mapped.rule) and theirs.dim() > 1 else theirs
