"""capture: what a model computes inside, by name, while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.hub.columns import columns
from blocks.models.conditioned import Conditioned
from blocks.models.places import modules
from blocks.ops.watch import enter, leave, opened
from blocks.surgery.inside.points import Point, points_of, select

__all__ = ["Captured", "capture", "hook_points"]

Taker = Callable[[Any], Any]


def module_of(model: Any) -> nn.Module:
    """The module that names are of: the eager one of a compiled model, the pair of its answers."""
    if isinstance(model, Conditioned):
        model = model.model
    model = getattr(model, "_orig_mod", model)
    if not isinstance(model, nn.Module):
        raise SpecError("is no model or block", field="model", hint="build a Spec by calling it")
    return model


def hook_points(model: nn.Module, *patterns: str) -> list[str]:
    """The names of what can be seen and changed in a model: one set of names for every model.

    An address and what of it: `before` and `after` are the residual stream around a layer or a
    sublayer, `in` and `out` what a block takes and gives, without norms and skips around it.
    Attention has `q`, `k` (as they meet, after positions and norms), `v`, the `pattern` [B H T S]
    by which it mixes values, and `heads` [B H T V], what each finds before the output projection.
    MLPs have `hidden`, a mixture its `routing` [B T X], and recurrences what they sum up.

    Args:
        model: a model or a block.
        patterns: names with wildcards (`*` is any text in a segment, `**` any segments); all
            without one.

    Errors:
        SpecError: something that is no model, or a pattern that fits nothing.

    Example:
        >>> import blocks
        >>> blocks.hook_points(blocks.GQAttention(16, heads=2))
        ['in', 'q', 'k', 'v', 'pattern', 'heads', 'out']
    """
    points = points_of(module_of(model))
    return list(select(points, *patterns) if patterns else points)


class Captured(dict[str, Any]):
    """What `capture` saw: a tensor by name, of the latest call.

    Attributes:
        calls: how often each name was met.
        explicit: the attentions that made their pattern, which else is never written down.
    """

    def __init__(self, points: Mapping[str, Point]):
        super().__init__()
        self.calls = dict.fromkeys(points, 0)
        explicit = [point.address for point in points.values() if point.part == "pattern"]
        self.explicit = tuple(explicit)

    def __missing__(self, name: str) -> Any:
        if name in self.calls:
            raise SpecError("was captured, but the model never came there", field=name)
        hint = f"what was asked for is {', '.join([*self.calls][:5])}"
        raise SpecError("was not captured", field=name, hint=hint)

    def __str__(self) -> str:
        rows = [["NAME", "SHAPE", "DTYPE", "CALLS"]]
        for name, calls in self.calls.items():
            held = self.get(name)
            held = held[-1] if isinstance(held, list) else held
            shape, kind = "", ""
            if isinstance(held, Tensor):
                shape, kind = "×".join(map(str, held.shape)), str(held.dtype).split(".")[-1]
            rows.append([name, shape, kind, str(calls)])
        told = f"explicit path, for their patterns: {', '.join(self.explicit)}"
        return "\n".join([columns(rows), told] if self.explicit else [columns(rows)])


@contextmanager
def capture(
    model: nn.Module, *patterns: str, detach: bool = False, every: bool = False
) -> Iterator[Captured]:
    """Keeps what a model computes inside, while the body of the `with` runs it.

    Attention writes its pattern down only where it is asked for, and then takes the explicit path:
    equal to rounding, in memory that grows with T · S. A compiled or optimised model runs
    uncompiled meanwhile. With a state, `k`, `v` and `pattern` are of all S tokens that are seen; of
    a window's memory in the order of its slots.

    Args:
        model: a model or a block; it is left as it was, also by an error in the body.
        patterns: names as `hook_points` lists them, with wildcards:
            `"layers.*.attention.pattern"`.
        detach: cut what is kept off from gradients, which else flow through it.
        every: keep a list with what each call gave (`generate` makes many), not the latest alone.

    Returns:
        A dict by name, filled as the model runs. `print` it for shapes.

    Errors:
        SpecError: a name that a block lacks (what it has is shown) or that nothing has (the
            nearest are shown), before anything runs.

    Example:
        >>> import torch, blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> with blocks.capture(model, "layers.*.attention.pattern") as got:
        ...     logits = model(torch.tensor([[1, 2, 3]]))
        >>> pattern = got["layers.0.attention.pattern"]
        >>> bool(torch.allclose(pattern.sum(-1), torch.ones(pattern.shape[:-1])))
        True
    """
    root = module_of(model)
    points = select(points_of(root), *patterns)
    got = Captured(points)

    def keeper(name: str) -> Taker:
        def keep(x: Any) -> Any:
            got.calls[name] += 1
            kept = x.detach() if detach and isinstance(x, Tensor) else x
            if every:
                got.setdefault(name, []).append(kept)
            else:
                got[name] = kept
            return x

        return keep

    with looked(root, [(point, keeper(name)) for name, point in points.items()], last=True):
        yield got


@dataclass
class _Site:
    """A module with hooks: what is asked there, by the address at which it runs."""

    addresses: list[str]
    asked: dict[str, list[tuple[Point, Taker]]] = field(default_factory=dict)
    calls: int = 0
    running: list[tuple[str, dict[str, Taker]]] = field(default_factory=list)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Site:
        """Nobody looks into a copy of the model."""
        return _Site(self.addresses)

    def before(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """A shared module runs at each of its places in turn."""
        at = self.addresses[self.calls % len(self.addresses)]
        self.calls += 1
        asked = self.asked.get(at, [])
        inner: dict[str, Taker] = {}
        for point, taker in asked:
            if point.side == "inner":
                inner[point.part] = _after(inner.get(point.part, _own), taker)
        self.running.append((at, inner))
        enter(inner)
        for point, taker in asked:
            if point.side == "input" and args:
                args = (_passed(point, taker, args[0]), *args[1:])
            elif point.side == "input":
                first = next(iter(kwargs))
                kwargs = {**kwargs, first: _passed(point, taker, kwargs[first])}
        return args, kwargs

    def after(self, module: nn.Module, args: Any, output: Any) -> Any:
        if not self.running:  # what comes before has failed
            return None
        at, inner = self.running.pop()
        leave(inner)
        if output is None:
            return None
        for point, taker in self.asked.get(at, []):
            if point.side == "output":
                output = _passed(point, taker, output)
        return output


def _own(x: Tensor) -> Tensor:
    """What lies in a state's memory will be overwritten there."""
    return x if x.requires_grad else x.clone()


def _after(first: Taker, then: Taker) -> Taker:
    return lambda x: then(first(x))


def _passed(point: Point, taker: Taker, x: Any) -> Any:
    if point.apart is None or point.together is None:
        return taker(x)
    return point.together(taker(point.apart(x)))


@dataclass
class _Looker:
    """The hooks of one who looks; those that change something come before those that keep it."""

    root: nn.Module
    sites: dict[nn.Module, _Site]
    last: bool
    handles: list[Any] = field(default_factory=list)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Looker:
        return _Looker(self.root, {}, self.last)

    def stand(self) -> None:
        self.leave()
        self.handles.append(self.root.register_forward_pre_hook(self._begin))
        for module, site in self.sites.items():
            pre = module.register_forward_pre_hook(site.before, with_kwargs=True)
            self.handles += [pre, module.register_forward_hook(site.after, always_call=True)]

    def leave(self) -> None:
        while self.handles:
            self.handles.pop().remove()

    def _begin(self, module: nn.Module, args: Any) -> None:
        for site in self.sites.values():
            site.calls = 0


_lookers: list[_Looker] = []


@contextmanager
def looked(
    root: nn.Module, asked: Iterable[tuple[Point, Taker]], last: bool = False
) -> Iterator[None]:
    """While it is open, each taker is given the values of its point, and what it gives counts."""
    places: dict[int, list[str]] = {}
    for address, module in modules(root):
        places.setdefault(id(module), []).append(address)
    sites: dict[nn.Module, _Site] = {}
    for point, taker in asked:
        site = sites.setdefault(point.module, _Site(places[id(point.module)]))
        site.asked.setdefault(point.at, []).append((point, taker))
    looker = _Looker(root, sites, last)
    with ExitStack() as stack:
        stack.enter_context(opened())
        if "torch._dynamo" in sys.modules:  # something may be compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        _lookers.append(looker)
        stack.callback(_lookers.remove, looker)
        stack.callback(looker.leave)
        for one in [looker, *(one for one in _lookers if one.last and one is not looker)]:
            one.stand()
        yield
