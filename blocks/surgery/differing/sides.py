"""One of two models that are compared, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from blocks.hub.columns import counted, human
from blocks.hub.planned import Plan
from blocks.hub.report import KINDS, Inspection
from blocks.spec import is_spec
from blocks.surgery.tree.folding import merged, numbered
from blocks.surgery.tree.parts import Part

__all__: list[str] = []

Tie = tuple[str, str]
_NAMES = {header: name for name, (header, _) in KINDS.items()}


@dataclass(frozen=True)
class Side:
    """A model in numbers; what is not known of it is None.

    Attributes:
        name: the folder or repository, or what it is.
        model: its class.
        parameters: what is shared counts once.
        dtype: of the weights, "bfloat16"; several with the number of tensors of each.
        nbytes: of the weights.
        state_per_token: bytes remembered of each token.
        state_fixed: bytes remembered however long a text is.
        flops: of a new token that sees 512; None where what is done depends on what is read.
        shared: tensors and blocks that are one with others, "head.weight = embedding.weight".
        files: how many files the weights are in.
        fits: False where a checkpoint lacks tensors, or holds others.
    """

    name: str
    model: str
    parameters: int
    dtype: str | None
    nbytes: int | None
    state_per_token: int
    state_fixed: int
    flops: int | None
    shared: tuple[str, ...]
    files: int | None
    fits: bool | None


# How people read each of them.
UNITS: dict[str, Any] = {
    "name": str,
    "model": str,
    "parameters": "{:,}".format,
    "dtype": str,
    "nbytes": human,
    "state_per_token": "{:,} B".format,
    "state_fixed": human,
    "flops": counted,
    "shared": ", ".join,
    "files": str,
    "fits": lambda fits: "yes" if fits else "NO",
}


def side_of(x: Any, root: Part) -> Side:
    """What is known of a Spec, a live model, or what `inspect` gave.

    Args:
        x: one of these.
        root: its tree, not folded.
    """
    report = x if isinstance(x, Inspection) else None
    dtypes = dtypes_of(x)
    kinds = sorted(dtypes.items(), key=lambda item: -item[1])
    said = kinds[0][0] if len(kinds) == 1 else ", ".join(f"{n} × {kind}" for kind, n in kinds)
    return Side(
        name=_name(x, root),
        model=root.block,
        parameters=root.parameters,
        dtype=said or None,
        nbytes=root.nbytes if dtypes else None,
        state_per_token=root.state_per_token,
        state_fixed=root.state_fixed,
        flops=root.flops,
        shared=tuple(_listed(_shared(root))),
        files=None if report is None else len(report.files),
        fits=None if report is None or report.fits else False,
    )


def dtypes_of(x: Any) -> Counter[str]:
    """How many tensors there are of each dtype; of a Spec nobody knows."""
    if isinstance(x, Inspection):
        return Counter(_NAMES.get(row.dtype or "", row.dtype or x.dtype) for row in x.tensors)
    if isinstance(x, Plan):
        return Counter([x.dtype])
    if isinstance(x, nn.Module):
        return Counter(str(p.dtype).removeprefix("torch.") for p in x.parameters())
    return Counter()


def _name(x: Any, root: Part) -> str:
    if isinstance(x, Inspection):
        return x.source + (f" at {x.commit}" if x.commit else "")
    if isinstance(x, Plan):
        return f"{x.name} (config alone)"
    if is_spec(x):
        return f"Spec({root.block})"
    source = getattr(getattr(x, "provenance", None), "source", None)
    return f"live {root.block}" + (f" from {source}" if source else "")


def _listed(ties: Iterable[Tie]) -> Iterator[str]:
    """Ties as text, those of several layers with one source as one."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for place, source in ties:
        head, _, tail = numbered(place)
        groups.setdefault((head, tail, source), []).append(place)
    return (f"{merged(places)} = {source}" for (*_, source), places in groups.items())


def _shared(part: Part) -> list[Tie]:
    """What is one with something else: whole blocks where all of them is, else tensors."""
    ties = [(name.removeprefix(f"{part.address}."), source) for name, source in _ties(part)]
    sources = {source.removesuffix(name) for name, source in ties}
    if 1 < len(ties) == _tensors(part) and len(sources) == 1:
        return [(part.address, sources.pop().rstrip("."))]
    return _own_ties(part) + [tie for inner in part.parts for tie in _shared(inner)]


def _own_ties(part: Part) -> list[Tie]:
    return [(f"{part.address}.{name}".lstrip("."), source) for name, source in part.tied.items()]


def _ties(part: Part) -> list[Tie]:
    return _own_ties(part) + [tie for inner in part.parts for tie in _ties(inner)]


def _tensors(part: Part) -> int:
    return len(part.shapes) + sum(_tensors(inner) for inner in part.parts)
