"""patch and ablate: a model runs on with other values inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from blocks.edit import matches
from blocks.errors import SpecError
from blocks.surgery.inside.points import READ, Point, points_of, reason, select
from blocks.surgery.inside.watching import Taker, looked, module_of

__all__ = ["ablate", "patch"]

Change = Tensor | Callable[[Tensor], Tensor]


@contextmanager
def patch(model: nn.Module, changes: Mapping[str, Change]) -> Iterator[None]:
    """Runs a model with some of its inner values exchanged, while the body of the `with` lasts.

    Activation patching, or causal tracing: what one text made of a place is put there while another
    text is read. A `capture` inside the body sees the exchanged values. Several `patch`es of one
    place work one after the other.

    Args:
        model: a model or a block; it is left as it was, also by an error in the body.
        changes: by name or pattern as `hook_points` lists them: a tensor, of the shape that is
            there or one that broadcasts to it, or a function of what is there.

    Errors:
        SpecError: a name that a block lacks or that nothing has, a value that can be seen but not
            changed, a tensor of another shape or dtype, or a place that the body never came to.

    Example:
        >>> import torch, blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> here, there = torch.tensor([[1, 2, 3]]), torch.tensor([[1, 5, 3]])
        >>> with blocks.capture(model, "layers.2.after") as got:
        ...     other = model(there)
        >>> with blocks.patch(model, {"layers.2.after": got["layers.2.after"]}):
        ...     print(torch.equal(model(here), other))
        True
    """
    if not isinstance(changes, Mapping):
        raise SpecError(f"is a {type(changes).__name__}, not a dict by name", field="changes")
    root = module_of(model)
    points = points_of(root)
    made = {pattern: (select(points, pattern), _taker(new)) for pattern, new in changes.items()}
    if not made:
        raise SpecError("nothing is to be changed", field="changes")
    with _changed(root, made):
        yield


@contextmanager
def ablate(
    model: nn.Module,
    *names: str,
    heads: Sequence[int] | None = None,
    to: Literal["zero", "mean"] | Mapping[str, Tensor] = "zero",
) -> Iterator[None]:
    """Runs a model without what some of its parts find, while the body of the `with` lasts.

    Args:
        model: a model or a block; it is left as it was, also by an error in the body.
        names: addresses of blocks (`"layers.3.mlp"`), whose `out` is meant, or any names as
            `hook_points` lists them; wildcards as there.
        heads: only these heads of the attentions that are named, from 0. A head set to zero is one
            whose columns of the output projection are zero.
        to: what stands in its place: `zero`, the `mean` over batch and tokens of the very call,
            padding included, or the mean of what a `capture` of the same names has kept of other
            texts.

    Errors:
        SpecError: a name that a block lacks or that nothing has, heads that there are not, a mean
            of which nothing was captured, or a place that the body never came to.

    Example:
        >>> import torch, blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> tokens = torch.tensor([[1, 2, 3]])
        >>> with blocks.ablate(model, "layers.1.attention", heads=[0, 3]):
        ...     without = model(tokens)
        >>> torch.equal(without, model(tokens))
        False
    """
    root = module_of(model)
    points = points_of(root)
    part = "out" if heads is None else "heads"
    made = {}
    several = None if heads is None else _listed(heads)
    for name in names:
        found = _meant(points, name, part)
        if several is not None:
            _check_heads(found, several)
        _check_filler(found, to)
        made[name] = (found, lambda point, x: _ablated(point, x, several, to))
    if not made:
        raise SpecError("names nothing to leave out", field="names")
    with _changed(root, made):
        yield


def _meant(points: Mapping[str, Point], name: Any, part: str) -> dict[str, Point]:
    """What a name of `ablate` means: the part of a block where it is a block's address."""
    whole = isinstance(name, str) and any(matches(p.address, name) for p in points.values())
    return select(points, f"{name}.{part}".lstrip(".") if whole else name)


def _listed(heads: Any) -> tuple[int, ...]:
    several = tuple(heads) if isinstance(heads, Iterable) else ()
    if not several or any(type(one) is not int for one in several):
        reason_ = f"are whole numbers, not {heads!r}"
        raise SpecError(reason_, field="heads", hint="a list: heads=[0, 3]")
    return several


def _check_heads(found: Mapping[str, Point], heads: Sequence[int]) -> None:
    for point in found.values():
        if point.part not in ("heads", "q", "pattern"):
            reason_ = "has no axis of query heads; name the attention"
            raise SpecError(reason_, field=point.name)
        count: int = point.block.heads  # pyright: ignore[reportAssignmentType]  # attention has them
        if wrong := [head for head in heads if not 0 <= head < count]:
            there = f"{point.address or 'it'} has heads 0 … {count - 1}"
            raise SpecError(f"{there}, not {', '.join(map(str, wrong))}", field="heads")


def _check_filler(found: Mapping[str, Point], to: Any) -> None:
    if isinstance(to, Mapping):
        if lacking := [name for name in found if name not in to]:
            hint = "capture the same names while it reads other texts"
            raise SpecError(f"holds nothing of {lacking[0]}", field="to", hint=hint)
    elif to not in ("zero", "mean"):
        raise SpecError(f"{to!r} is not zero, mean or what was captured", field="to")


def _ablated(point: Point, x: Any, heads: Sequence[int] | None, to: Any) -> Any:
    if not isinstance(x, Tensor):
        return x  # what follows says so
    if to == "zero":
        filler = torch.zeros_like(x)
    else:
        filler = _mean(to[point.name] if isinstance(to, Mapping) else x, x)
    if heads is None:
        return filler
    chosen = torch.zeros(x.shape[1], 1, 1, dtype=torch.bool, device=x.device)
    chosen[list(heads)] = True
    return torch.where(chosen, filler, x)


def _mean(values: Any, like: Tensor) -> Tensor:
    """Over batch and tokens, of one call or of several."""
    axes = (0, 2) if like.dim() == 4 else (0, 1)  # heads stand before tokens
    calls = values if isinstance(values, list) else [values]
    counts = [call.shape[axes[0]] * call.shape[axes[1]] for call in calls]
    sums = [call.to(like.device).sum(axes, True, dtype=_wide(like)) for call in calls]
    return (torch.stack(sums).sum(0) / sum(counts)).to(like.dtype)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


@contextmanager
def _changed(
    root: nn.Module, made: Mapping[str, tuple[dict[str, Point], Callable[[Point, Any], Any]]]
) -> Iterator[None]:
    """Hooks of each pattern's points; when all went well, each pattern has been met."""
    for found, _ in made.values():
        for point in found.values():
            if why := reason(READ, point):
                text = f"can be seen but not changed: {why}"
                raise SpecError(text, field=point.name)
    met: set[str] = set()

    def taker(pattern: str, point: Point, change: Callable[[Point, Any], Any]) -> Taker:
        def take(x: Any) -> Any:
            met.add(pattern)
            return _checked(point, x, change(point, x))

        return take

    asked: list[tuple[Point, Taker]] = [
        (point, taker(pattern, point, change))
        for pattern, (found, change) in made.items()
        for point in found.values()
    ]
    with looked(root, asked):
        yield
    if missed := [pattern for pattern in made if pattern not in met]:
        reason_ = "was to be changed, but the model never came there"
        raise SpecError(reason_, field=", ".join(missed))


def _taker(new: Any) -> Callable[[Point, Any], Any]:
    if isinstance(new, Tensor):
        return lambda point, x: new
    if callable(new):
        return lambda point, x: new(x)
    reason_ = f"a change is a tensor or a function, not a {type(new).__name__}"
    raise SpecError(reason_, field="changes")


def _checked(point: Point, x: Any, new: Any) -> Any:
    """The new value, of the shape, dtype and device of the old one."""
    if not isinstance(x, Tensor):
        raise SpecError(f"is a {type(x).__name__} here, which can't be changed", field=point.name)
    if not isinstance(new, Tensor):
        raise SpecError(f"became a {type(new).__name__}, not a tensor", field=point.name)
    if (new.dtype, new.device) != (x.dtype, x.device):
        have, want = (f"{t.dtype} on {t.device}" for t in (new, x))
        raise SpecError(f"is {want}, not {have}", field=point.name, hint="use .to(...)")
    if new.shape == x.shape:
        return new
    try:
        return new.expand_as(x)
    except RuntimeError:
        reason_ = f"is {list(x.shape)}, not {list(new.shape)}"
        raise SpecError(reason_, field=point.name) from None
