"""Carrying: a walk over two models that gives every tensor of the new one that the old one has."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blocks.carry import Fresh, Rule, rule_for
from blocks.edit import walk
from blocks.errors import SpecError
from blocks.models.places import addresses, modules
from blocks.spec import Spec, is_spec

__all__: list[str] = []

Made = list[tuple[Any, Spec, tuple[int, ...]]]


@dataclass(frozen=True)
class Carried:
    """A tensor of the new model, and what it was made of.

    Attributes:
        tensor: its numbers.
        sources: addresses of the old tensors in it; none where a rule knows it without them.
        words: how it came about, in the words of its rule.
        same: whether it is the one old tensor as it was.
    """

    tensor: Tensor
    sources: tuple[str, ...]
    words: str = ""
    same: bool = True


class Carrying:
    """Pairs the parts of two models by their addresses, and follows the rule of each pair.

    Args:
        old: a model with numbers; a tensor without any counts as absent.
        new: a model of shapes.
        made: how each part of it is built once more.
        rules: the caller's own; None is no rule at all, for models whose tensors aren't numbers.
        exchanged: addresses that rules are to see though nothing of their Spec has changed.
        moved: new address -> old address of parts of tuples that have become shorter or longer.
        dtype, device: of numbers that rules ask for afresh.
    """

    def __init__(
        self,
        old: nn.Module,
        new: nn.Module,
        made: Made,
        rules: Iterable[Rule] | None = (),
        *,
        exchanged: Iterable[str] = (),
        moved: Mapping[str, str] | None = None,
        dtype: torch.dtype | None = None,
        device: Any = None,
    ):
        self.old, self.new, self.moved = old, new, moved or {}
        self.rules = None if rules is None else tuple(rules)
        self.exchanged = tuple(exchanged)
        self.recipes = {id(module): (spec, sizes) for module, spec, sizes in made}
        self.like: dict[str, Any] = {"dtype": dtype, "device": device}
        self.wanted = addresses(new)
        self.homes = {id(module): address for address, module in modules(old)}
        self.places = {id(module): address for address, module in modules(new)}
        self.names: dict[int, str] = {}  # of an old tensor, or of a leaf that stands for it
        for address, tensor in addresses(old).items():
            self.names.setdefault(id(tensor), address)
        self.real: dict[int, Tensor] = {}  # the old tensor that a leaf stands for
        self.before, self.after = _specs(old), _specs(new)
        self.kept: list[Any] = []  # what `homes` and `names` know by number must live
        self.found: dict[str, Carried] = {}

    def run(self) -> dict[str, Carried]:
        """Every tensor of the new model that comes of the old one, by address."""
        self._pair(self.old, self.new, "")
        return self.found

    def _pair(self, old: nn.Module, new: nn.Module, words: str) -> None:
        if self._unchanged(old, new):
            self._copied(old, new, words)
            return
        inner, after = list(_wrapped(old))[-1], list(_wrapped(new))[-1]
        rule = None
        if self.rules is not None:
            rule = rule_for(type(inner), type(after), self.rules)
        if rule is None:
            self._same(old, new, words)
            return
        self._follow(rule, inner, after, words)
        if old is not inner and new is not after:  # the norms around them
            self._same(old, new, words, (inner, after))

    def _unchanged(self, old: nn.Module, new: nn.Module) -> bool:
        """Whether both are built alike, so that there is nothing to convert in them."""
        home, place = self.homes[id(old)], self.places[id(new)]
        spec = self.after.get((place, type(new)))
        if spec is None or spec != self.before.get((home, type(old))):
            return False
        return not any(_near(where, place) for where in self.exchanged)

    def _copied(self, old: nn.Module, new: nn.Module, words: str) -> None:
        place, held = self.places[id(new)], addresses(old)
        for name in addresses(new):
            if name in held:
                self._give(_join(place, name), held[name], words)

    def _same(self, old: nn.Module, new: nn.Module, words: str, but: tuple[Any, ...] = ()) -> None:
        """What has the same name in both, of the same shape; parts by their own rules."""
        place, held = self.places[id(new)], dict(_tensors(old, but))
        for name in dict(_tensors(new, but)):
            if name in held:
                self._give(_join(place, name), held[name], words)
        olds = self._aligned(old, new) if isinstance(new, nn.ModuleList) else dict(_parts(old, but))
        for name, part in _parts(new, but):
            if name in olds:
                self._pair(olds[name], part, words)

    def _aligned(self, old: nn.Module, new: nn.Module) -> dict[str, nn.Module]:
        """Which part of a list each of another list takes the place of."""
        left, news = dict(old._modules), dict(new._modules)
        found: dict[str, Any] = {}
        place = self.places[id(new)]
        for name in news:
            if (origin := self.moved.get(_join(place, name))) is not None:
                found[name] = left.pop(origin.rpartition(".")[2], None)
        rest = [name for name in news if name not in found]
        steady = [name for name in rest if type(left.get(name)) is type(news[name])]
        found |= {name: left.pop(name) for name in steady}
        for name in (name for name in rest if name not in found):  # others may have been put before
            alike = [one for one, part in left.items() if type(part) is type(news[name])]
            if alike or name in left:
                found[name] = left.pop(alike[0] if alike else name)
        return {name: part for name, part in found.items() if part is not None}

    def _follow(self, rule: Rule, old: nn.Module, new: nn.Module, words: str) -> None:
        """The lines of a rule, from a copy of the old block whose tensors are a graph's leaves."""
        shadow, place = self._shadow(old), self.places[id(new)]
        wants = len(inspect.signature(rule).parameters) > 2
        given = (shadow, new, self._fresh(new)) if wants else (shadow, new)
        name = getattr(rule, "__name__", repr(rule))
        with torch.enable_grad():
            for line in rule(*given):
                if not (isinstance(line, tuple) and 1 < len(line) < 4 and isinstance(line[0], str)):
                    raise SpecError(f"{name} yields {line!r}, no place with what comes there")
                at, source, told = line[0], line[1], line[2] if len(line) == 3 else words
                if isinstance(source, Tensor):
                    self._give(_join(place, at), source, told, name)
                elif source is shadow and not at:
                    self._same(shadow, new, told)
                else:
                    self._pair(source, _inside(new, at, name), told)

    def _fresh(self, new: nn.Module) -> Fresh:
        drawn: dict[str, Tensor] = {}

        def fresh(name: str) -> Tensor:
            if not drawn:
                spec, sizes = self.recipes[id(new)]
                drawn.update(addresses(spec(*sizes)))
            return drawn[name].detach().to(**self.like)

        return fresh

    def _shadow(self, block: nn.Module) -> nn.Module:
        """The block with leaves for tensors: a rule can neither change them nor hide their use."""
        memo: dict[int, Any] = {}
        for _, module in modules(block):
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is None or id(tensor) in self.real or id(tensor) not in self.names:
                    memo[id(tensor)] = tensor
                    continue
                leaf = tensor.detach().requires_grad_(tensor.is_floating_point())
                memo[id(tensor)] = leaf
                self.names[id(leaf)] = self.names[id(tensor)]
                self.real[id(leaf)] = tensor
                self.kept.append(leaf)
        shadow = copy.deepcopy(block, memo)
        self.kept.append(shadow)
        for (_, one), (_, twin) in zip(modules(block), modules(shadow), strict=True):
            self.homes[id(twin)] = self.homes[id(one)]
        return shadow

    def _give(self, place: str, tensor: Tensor, words: str, rule: str | None = None) -> None:
        wanted = self.wanted.get(place)
        if wanted is None or tensor.shape != wanted.shape:
            if rule is not None:
                have = "nothing" if wanted is None else list(wanted.shape)
                raise SpecError(f"{rule} gives {list(tensor.shape)}, there is {have}", field=place)
            return
        if tensor.is_meta:
            return
        name = self.names.get(id(tensor))
        if name is not None:
            real = self.real.get(id(tensor), tensor)
            self.found[place] = Carried(real, (name,), words)
            return
        sources = tuple(sorted({self.names[i] for i in _leaves(tensor) if i in self.names}))
        kind = self.like["dtype"] if isinstance(wanted, nn.Parameter) else None
        made = tensor.detach().to(dtype=kind, device=self.like["device"]).contiguous()
        self.found[place] = Carried(made, sources, words, same=False)


def _specs(model: nn.Module) -> dict[Any, Spec]:
    spec: Any = getattr(model, "spec", None)
    return {(place, part.func): part for place, part in walk(spec)} if is_spec(spec) else {}


def _join(address: str, name: str) -> str:
    return f"{address}.{name}".strip(".")


def _near(one: str, other: str) -> bool:
    """Whether one address lies in the other or is it."""
    short, long = sorted((one, other), key=len)
    return not short or f"{long}.".startswith(f"{short}.")


def _wrapped(module: nn.Module) -> Iterator[nn.Module]:
    """A wrapper, and what it wraps under the same address."""
    yield module
    through = getattr(type(module), "transparent", None)
    if through is not None and (inner := module._modules[through]) is not None:
        yield from _wrapped(inner)


def _tensors(module: nn.Module, but: tuple[Any, ...]) -> Iterator[tuple[str, Tensor]]:
    for one in _wrapped(module):
        if not any(one is other for other in but):
            held = one._parameters | one._buffers
            yield from ((name, tensor) for name, tensor in held.items() if tensor is not None)


def _parts(module: nn.Module, but: tuple[Any, ...]) -> Iterator[tuple[str, nn.Module]]:
    """The parts of a block and of its wrappers, which share one address."""
    for one in _wrapped(module):
        if not any(one is other for other in but):
            through = getattr(type(one), "transparent", None)
            for name, part in one._modules.items():
                if part is not None and name != through:
                    yield name, part


def _inside(block: nn.Module, place: str, rule: str) -> nn.Module:
    for address, part in modules(block):
        if address == place:
            return part
    raise SpecError(f"{rule} names a part {place!r} that a {type(block).__name__} doesn't have")


def _leaves(tensor: Tensor) -> set[int]:
    """Numbers of the leaves of the graph that a tensor was computed by."""
    seen: set[Any] = set()
    found: set[int] = set()
    ahead: list[Any] = [tensor.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        ahead += [following for following, _ in node.next_functions]
    return found
