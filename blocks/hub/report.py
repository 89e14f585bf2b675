"""Inspection: what is known of a checkpoint without its weights, as data and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import torch

from blocks.errors import SpecError
from blocks.hub.columns import columns, folded, form, human
from blocks.hub.headers import DTYPE_BITS
from blocks.hub.remembered import cross_values, source_room

__all__ = ["Inspection"]

KINDS = {
    "float16": ("F16", torch.float16),
    "bfloat16": ("BF16", torch.bfloat16),
    "float32": ("F32", torch.float32),
    "float64": ("F64", torch.float64),
}
_ROOM = 4_096  # tokens of state that are counted where a model has no bound of its own


class Landing(NamedTuple):
    """One tensor of a checkpoint and where it lands.

    Attributes:
        name: as the file has it.
        dtype: as the file has it ("BF16"); None where its header is not at hand.
        shape: from the header, else what the model asks for.
        addresses: the places that it fills; several where it is fused or stacked.
        block: the class that holds the first of them.
        parameters: how many values they have; of packed weights, how many they stand for.
        whole: it holds whole numbers, which no dtype changes.
        stored: how a quantised matrix is stored, in words; None of other tensors.
        nbytes: of a quantised matrix with all that stands beside it; None where headers are not at
            hand, and of other tensors.
        decoded: the dtype that it is loaded as where it is none of floats.
        twin: the address of another tensor that the config says is the same; loading compares
            them, and keeps both where they differ.
    """

    name: str
    dtype: str | None
    shape: tuple[int, ...]
    addresses: tuple[str, ...]
    block: str
    parameters: int
    whole: bool = False
    stored: str | None = None
    nbytes: int | None = None
    decoded: str = "BF16"
    twin: str | None = None

    @property
    def becomes(self) -> str | None:
        """The dtype that it is loaded as."""
        if self.whole:
            return self.dtype
        if self.stored:
            return self.decoded
        known = {header for header, _ in KINDS.values()} | {None}
        return self.dtype if self.dtype in known else self.decoded

    def bits(self, header: str, as_stored: bool) -> int:
        """The bits that it takes in a model of floats of this kind, or as the file has it."""
        if self.twin:
            return 0
        if self.whole:
            return prod(self.shape) * DTYPE_BITS[self.dtype or header]
        return self.parameters * DTYPE_BITS[(as_stored and self.becomes) or header]


def _stored(form: str, told: tuple[int, float | None]) -> str:
    """How many matrices are in a format, and the bits of a weight."""
    many, bits = told
    return f"{form} × {many:,}" + ("" if bits is None else f", {bits:.2f} bits a weight")


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found. Printed, it is a table with equal layers folded.

    Attributes:
        source: the folder or repository.
        commit: the repository's commit; None for a folder.
        model_type: the family, "blocks" for our own format.
        architectures: as config.json names them.
        dialect: "v4" (`rope_theta`, `torch_dtype`) or "v5" (`rope_parameters`, `dtype`) as
            transformers writes it; None where config.json holds neither's fields.
        context: how many tokens the model was made for; None without a bound.
        parameters: values that the model gets from the file; what it shares counts once.
        nbytes: of all tensors in the file; None where neither headers nor index say it.
        dtype: what most of the weights are: by the headers, else by config.json.
        dtypes: how many tensors of each dtype, as the headers name them.
        tensors: every tensor that lands in the model.
        unmapped: names in the file that nothing in the model takes.
        missing: names that the model needs and the file lacks.
        misshapen: tensors of another shape or type than config.json asks for, in words.
        ignored: names that such a file may hold and that nobody reads.
        tied: (place, source) of what is left out of the file because it is shared.
        assumed: config fields that are absent, with the value that this means.
        packed: how many matrices `optimize` had packed, by "int8" and "int4".
        quantised: by the words for a format of other tools, how many matrices are stored in it and
            how many bits one of their weights takes, with all that stands beside them; None where
            headers are not at hand.
        files: names of the weight files.
        licence: as README.md or LICENSE names it, "apache-2.0"; None where they don't.
    """

    source: str
    commit: str | None
    model_type: str
    architectures: tuple[str, ...]
    dialect: str | None
    context: int | None
    parameters: int
    nbytes: int | None
    dtype: str
    dtypes: Mapping[str, int]
    tensors: tuple[Landing, ...]
    unmapped: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]
    ignored: tuple[str, ...]
    tied: tuple[tuple[str, str], ...]
    assumed: Mapping[str, Any]
    packed: Mapping[str, int]
    quantised: Mapping[str, tuple[int, float | None]]
    files: tuple[str, ...]
    licence: str | None
    model: Any = field(repr=False, compare=False)  # on meta

    @property
    def fits(self) -> bool:
        """Whether `from_pretrained` would take it."""
        return not (self.unmapped or self.missing or self.misshapen)

    def memory(
        self,
        batch: int = 1,
        context: int | None = None,
        dtype: torch.dtype | str | None = None,
        source: int | None = None,
    ) -> dict[str, int]:
        """Bytes that the loaded model takes: weights, what it remembers, and both in total.

        Args:
            batch: how many sequences.
            context: tokens of each; by default the model's own bound, 4,096 where it has none.
            dtype: of weights and state, "bfloat16" or torch.bfloat16; by default as in the file.
            source: of a model that reads one text or sound and writes another, how many places
                of the first are remembered; by default what its positions reach to, else as
                many as `context`.

        Errors:
            SpecError: a batch, context or source below one, or another dtype than a float's.
        """
        tokens = self._tokens(context)
        for name, value in (("batch", batch), ("context", tokens), ("source", source or tokens)):
            if value < 1 or (name == "source" and source == 0):
                raise SpecError(f"must be above zero, not {value}", field=name)
        name = self.dtype if dtype is None else str(dtype).removeprefix("torch.")
        if name not in KINDS:
            raise SpecError(f"{name!r} is not one of {', '.join(KINDS)}", field="dtype")
        header, kind = KINDS[name]
        weights = sum(t.bits(header, dtype is None) for t in self.tensors) // 8
        init: Any = getattr(self.model, "init_state", None)  # an encoder remembers nothing
        state = 0 if init is None else init(batch, tokens, kind).nbytes
        places = source or source_room(self.model) or tokens
        state += cross_values(self.model) * batch * places * kind.itemsize
        return {"weights": weights, "state": state, "total": weights + state}

    def _tokens(self, context: int | None) -> int:
        return (self.context or _ROOM) if context is None else context

    def to_json(self, **asked: Any) -> dict[str, Any]:
        """As plain JSON data, every tensor listed.

        Args:
            **asked: arguments of `memory`.
        """
        names = [name for name in self.__dataclass_fields__ if name != "model"]
        data = {name: getattr(self, name) for name in names}
        tensors = [t._asdict() for t in self.tensors]
        return data | {"tensors": tensors, "memory": self.memory(**asked), "fits": self.fits}

    def __str__(self) -> str:
        return self.text()

    def text(
        self,
        batch: int = 1,
        context: int | None = None,
        dtype: torch.dtype | str | None = None,
        source: int | None = None,
    ) -> str:
        """The table; the arguments are those of `memory`."""
        taken = self.memory(batch, context, dtype, source)
        memory = {part: human(n) for part, n in taken.items()}
        tokens = self._tokens(context)
        sequences = "one sequence" if batch == 1 else f"{batch:,} sequences"
        kind = "" if dtype is None else f" in {str(dtype).removeprefix('torch.')}"
        dtypes = ", ".join(f"{name} × {n:,}" for name, n in self.dtypes.items())
        size = "unknown" if self.nbytes is None else f"{human(self.nbytes)} ({self.nbytes:,})"
        dialect = f", dialect {self.dialect}" if self.dialect else ""
        twins = [t.name for t in self.tensors if t.twin]
        facts = {
            "source": self.source + (f" at {self.commit}" if self.commit else ""),
            "model": f"{self.model_type}: {', '.join(self.architectures)}{dialect}",
            "licence": self.licence or "not said",
            "parameters": f"{self.parameters:,}",
            "bytes": f"{size} in {len(self.files)} file{'s' * (len(self.files) != 1)}",
            "dtype": dtypes or f"{self.dtype}, says config.json; no header is at hand",
            "context": f"{self.context:,}" if self.context else "no bound",
            "memory": f"weights {memory['weights']} + state {memory['state']} of {sequences} of "
            f"{tokens:,} tokens = {memory['total']}{kind}",
            "packed": ", ".join(f"matrices in {kind} × {n:,}" for kind, n in self.packed.items()),
            "quantised": ", ".join(_stored(*item) for item in self.quantised.items()),
            "tied": ", ".join(folded(f"{place} = {source}" for place, source in self.tied)),
            "twice": ", ".join(folded(twins)),
            "assumed": ", ".join(f"{k}={v}" for k, v in self.assumed.items() if v is not None),
            "fits": "yes" if self.fits else "NO",
        }
        for name in ("missing", "unmapped", "misshapen", "ignored"):
            facts[name] = ", ".join(folded(getattr(self, name)))
        head = columns([[name, value] for name, value in facts.items() if value])
        return f"{head}\n\n{self._table()}"

    def _table(self) -> str:
        alike: dict[tuple[Any, ...], list[Landing]] = {}
        for row in self.tensors:
            key = (form(row.name)[0], form(row.addresses[0])[0], row.shape, row.dtype, row.block)
            alike.setdefault(key, []).append(row)
        rows = [["TENSOR", "TIMES", "SHAPE", "DTYPE", "BLOCK", "ADDRESS"]]
        for group in alike.values():
            one = group[0]
            names = ", ".join(folded(row.name for row in group))
            places = ", ".join(folded(place for row in group for place in row.addresses))
            shape, times = "×".join(map(str, one.shape)), str(len(group))
            rows.append([names, times, shape, one.dtype or "?", one.block, places])
        return columns(rows)
