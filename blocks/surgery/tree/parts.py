"""Part: one block of a model in numbers; and the tree of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import Parameter, signature
from math import prod
from typing import Any

import torch
from torch import nn

from blocks.edit import walk
from blocks.errors import GenerationError, printable
from blocks.hub.columns import form
from blocks.hub.outline import whole_kind
from blocks.hub.remembered import cross_values
from blocks.models.packing import stood_for
from blocks.models.places import meet
from blocks.ops.twins import first_of
from blocks.spec import Spec, is_spec, show
from blocks.state import Clock, State, content_of
from blocks.surgery.tree.folding import folded
from blocks.surgery.tree.paths import COMPILED, GRAPH, TAPED, kind_of, path_of
from blocks.surgery.tree.work import added, own_bytes, own_flops, share

__all__: list[str] = []

_FAR = 1 << 20  # tokens: beyond every window, so that what grows there grows for ever
_OPTION = 80  # characters


@dataclass
class Part:
    """One block of a model, or several equal ones: the numbers are those of one.

    Attributes:
        name: within its parent: "attention", "layers.0-31" or, where kinds take turns,
            "layers.0,2…30".
        address: of the first.
        block: its class; `Residual(GQAttention)` where it is wrapped.
        options: those that differ from the defaults, as text.
        times: how many there are.
        shapes: of its own parameters and saved buffers, by name.
        tied: what of these is shared: own name -> the address where it is counted.
        parameters: in it and its parts, without what is tied.
        nbytes: of these and of saved buffers.
        state_per_token: bytes that it remembers of each token.
        state_fixed: bytes that it remembers however long a text is.
        flops: of one new token; None where what a block does depends on what it reads.
        path: which way it is computed, where `optimize` has seen to that: "packed int8" or "int4";
            "streamed" by a kernel that reads weights, or keys and values, once and in order, where
            rows are few; "taped step", where all of it is one call; "compiled step"; "plain". On a
            GPU also "graph step", a compiled one that is started by one call, and for long texts
            "flash" and "rules", torch's kernels for attention, and "grouped" for experts.
        parts: what it is made of.
    """

    name: str
    address: str
    block: str
    options: dict[str, str]
    times: int = 1
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    parameters: int = 0
    nbytes: int = 0
    state_per_token: int = 0
    state_fixed: int = 0
    flops: int | None = 0
    path: str = ""
    parts: list[Part] = field(default_factory=list)
    _home: str = field(default="", repr=False)  # the module of its class
    _kind: int = field(default=0, repr=False)  # the same for parts that differ in place alone
    _weights: int = field(default=0, repr=False)  # bytes that are read for a token
    _memory: int = field(default=0, repr=False)

    @property
    def bytes_read(self) -> int:
        """For one new token: of weights, and of what is remembered of those before it."""
        return self._weights + self._memory

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        data = {name: value for name, value in vars(self).items() if name[0] != "_"}
        parts = [part.to_json() for part in self.parts]
        return data | {"bytes_read": self.bytes_read, "parts": parts}


class Tree:
    """Grows the Part of a model.

    Args:
        model: a live module, on any device.
        shared: place -> source of what one tensor will be for, besides what is one already.
        dtypes: of tensors by address, where they will be others than the model's.
        dtype: of all other tensors and of the state; None: the model's own.
        context: how many tokens a new one sees, itself among them.
        fold: whether equal neighbours become one part.

    Attributes:
        specs: of the parts, by address and class.
        wrapped: what stands at an address, a Residual before what it wraps.
    """

    def __init__(
        self,
        model: nn.Module,
        shared: Mapping[str, str],
        dtypes: Mapping[str, torch.dtype],
        dtype: torch.dtype | None,
        context: int,
        fold: bool = True,
    ):
        self.model, self.shared, self.dtypes, self.dtype = model, shared, dtypes, dtype
        self.context, self.fold = context, fold
        self.packed, self.crosses = stood_for(model), cross_values(model) > 0
        self.tells = bool(self.packed) or hasattr(model, "prepared")
        self.stepped = path_of(model, False) in (TAPED, COMPILED, GRAPH)
        first = next(model.parameters(), None)
        self.kind = dtype or (torch.get_default_dtype() if first is None else first.dtype)
        spec: Any = getattr(model, "spec", None)
        parts = walk(spec) if is_spec(spec) else ()
        self.specs: dict[Any, Spec] = {(address, part.func): part for address, part in parts}
        self.wrapped: dict[str, list[nn.Module]] = {}
        self._known = {address for address, _ in self.specs}
        self._counted: dict[int, str] = {}
        ties = spec.keywords.get("ties", ()) if is_spec(spec) else ()
        self._tied = {place for pair in (*ties, *shared.items()) for place in pair}
        self._grown: dict[tuple[int, bool, bool], Part] = {}
        self._once = not self.packed and len({*dtypes.values()}) < 2
        self._alike: dict[Hashable, int] = {}

    def root(self) -> Part:
        """The whole model."""
        encodes = hasattr(self.model, "spec") and not hasattr(self.model, "init_state")
        return self._part(self.model, "", "", encodes)

    def _part(self, module: nn.Module, address: str, name: str, encodes: bool) -> Part:
        """A part, grown once of those that are copies of one another."""
        if not self._once or any(meet(place, address) for place in self._tied):
            return self._new(module, address, name, encodes)
        first, how = first_of(module), (encodes, address in self._known)
        if first is not module and (id(first), *how) in self._grown:
            return self._again(self._grown[id(first), *how], address, name)
        part = self._new(module, address, name, encodes)
        return self._grown.setdefault((id(first), *how), part)

    def _again(self, part: Part, address: str, name: str) -> Part:
        """An equal part at another address."""
        made, start = object.__new__(Part), len(part.address)
        parts = [self._again(p, address + p.address[start:], p.name) for p in part.parts]
        vars(made).update(vars(part), name=name, address=address, parts=parts)
        self.wrapped[address] = self.wrapped[part.address]
        return made

    def _new(self, module: nn.Module, address: str, name: str, encodes: bool) -> Part:
        wrapped = self.wrapped[address] = list(_wrapped(module))
        names = [kind_of(one).__name__ for one in wrapped]
        part = Part(name, address, "(".join(names) + ")" * (len(names) - 1), {})
        part._home = kind_of(wrapped[-1]).__module__
        for one in wrapped:
            spec = self.specs.get((address, kind_of(one)))
            before = "" if one is wrapped[-1] else f"{type(one).__name__}."
            for option, text in ({} if spec is None else _given(spec)).items():
                part.options[before + option] = text
            self._count(part, one)
            part.flops = added(part.flops, own_flops(one, 1, self.context))
            part._weights += own_bytes(one, lambda n, t: self._kept(join(address, n), t).itemsize)
        once = getattr(module, "forgets", ())
        parts = [
            self._part(c, join(address, n), n, encodes or n in once) for n, c in _children(module)
        ]
        for inner in parts:
            few, many = share(wrapped, inner.name)
            if few and inner.name not in once:  # else no new token runs it
                part.flops = added(part.flops, inner.flops, few, many)
                part._weights += inner._weights * few // many
        part.parts = [p for p in parts if p.shapes or p.parts or p.address in self._known]
        part.parameters += sum(p.parameters for p in parts)
        part.nbytes += sum(p.nbytes for p in parts)
        if hasattr(module, "spec"):  # an assembly: what it remembers is what its parts do
            unit = getattr(module, "unit", 1)  # tokens that it remembers as one
            part.state_per_token = sum(p.state_per_token for p in parts) // unit
            part.state_fixed = sum(p.state_fixed for p in parts)
            part._memory = sum(p._memory for p in parts)
        elif not encodes:
            part.state_per_token, part.state_fixed, part._memory = self._state(module)
            kept = cross_values(module) if self.crosses else 0  # of each place of the source
            part._memory += kept * self.context * self.kind.itemsize
        path = path_of(wrapped[-1], self.stepped)
        if self.tells and (path != "plain" or part.shapes or not part.parts):
            part.path = path  # of what is only made of parts, these say it
        part.parts = folded(part.parts) if self.fold else part.parts
        part._kind = self._kind(part)
        return part

    def _count(self, part: Part, module: nn.Module) -> None:
        hidden = module._non_persistent_buffers_set
        saved = {name: b for name, b in module._buffers.items() if name not in hidden}
        for name, tensor in (module._parameters | saved).items():
            if tensor is None:
                continue
            place = join(part.address, name)
            part.shapes[name] = tuple(tensor.shape)
            source = self.shared.get(place) or self._counted.setdefault(id(tensor), place)
            if source != place:
                part.tied[name] = source
                continue
            values = prod(tensor.shape)
            held = values if name in module._parameters else 0
            part.parameters += self.packed.get(place, held)
            part.nbytes += values * self._kept(place, tensor).itemsize

    def _kept(self, place: str, tensor: Any) -> torch.dtype:
        said = None if whole_kind(tensor) else self.dtypes.get(place) or self.dtype
        return said or tensor.dtype

    def _state(self, module: nn.Module) -> tuple[int, int, int]:
        """Bytes that a block remembers: of each token, whatever the length, and now."""
        if not hasattr(module, "init_state"):
            return 0, 0, 0
        meta = torch.device("meta")
        try:
            near, far, now = (
                State(Clock(1, room, meta), content_of(module, 1, room, self.kind, meta)).nbytes
                for room in (_FAR, 2 * _FAR, self.context)
            )
        except GenerationError:  # of a stack whose tokens another one remembers
            return 0, 0, 0
        each = (far - near) // _FAR
        return each, near - each * _FAR, now

    def _kind(self, part: Part) -> int:
        tied = tuple((name, form(source)[0]) for name, source in part.tied.items())
        within = tuple((inner.name, inner.times, inner._kind) for inner in part.parts)
        options, shapes = tuple(part.options.items()), tuple(part.shapes.items())
        wrapped = self.wrapped[part.address]  # a long option is cut in what is printed
        specs = tuple(self.specs.get((part.address, kind_of(one))) for one in wrapped)
        key = (part.block, part.path, specs, options, shapes, tied, part.nbytes, within)
        return self._alike.setdefault(key, len(self._alike))


def join(address: str, name: str) -> str:
    """The address of what is there under a name."""
    return f"{address}.{name}" if address else name


def _wrapped(module: nn.Module) -> Iterator[nn.Module]:
    """A Residual, and what it wraps under the same address."""
    yield module
    through = getattr(type(module), "transparent", None)
    if through is not None and (inner := module._modules[through]) is not None:
        yield from _wrapped(inner)


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    through = getattr(type(module), "transparent", None)
    for name, child in module._modules.items():
        if child is None:
            continue
        if name == through:
            yield from _children(child)
        elif isinstance(child, nn.ModuleList):
            yield from ((f"{name}.{i}", one) for i, one in enumerate(child))
        else:
            yield name, child


@cache
def _defaults(block: type) -> Mapping[str, Parameter]:
    return signature(block).parameters


def given(spec: Spec) -> dict[str, Any]:
    """Options that differ from their defaults."""
    defaults = _defaults(spec.func)  # pyright: ignore[reportArgumentType]  # a class or function
    return {n: value for n, value in spec.keywords.items() if value != defaults[n].default}


def _given(spec: Spec) -> dict[str, str]:
    """Those as text; parts have lines of their own."""
    said = {name: value for name, value in given(spec).items() if not holds_parts(value)}
    return {name: printable(written(value), _OPTION) for name, value in said.items()}


def written(value: Any) -> str:
    """An option as people read it."""
    return getattr(value, "__name__", None) or show(value)


def holds_parts(value: Any) -> bool:
    inside = value.values() if isinstance(value, Mapping) else value
    many = isinstance(value, tuple | Mapping)
    return any(map(is_spec, inside)) if many else is_spec(value)
