"""Fields that many families share, read and written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from blocks import Causal, Mask, Spec, Window, walk
from blocks.hub.config import REQUIRED, Config

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_fast": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "linear": "identity",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
_WRITTEN = {ours: theirs for theirs, ours in _ACTIVATIONS.items() if theirs != "swish"} | {
    "gelu_tanh": "gelu_new"
}


_MOST = 10_000  # beyond it a config is wrong, and building takes forever


def read_activation(
    c: Config, name: str = "hidden_act", default: str = "silu", *, aliases: Sequence[str] = ()
) -> Any:
    """Our name of an activation, which aliases of the field may say as well."""
    theirs = c.take(name, str, default, aliases=aliases)
    if theirs not in _ACTIVATIONS:
        raise c.error(name, f"{theirs!r} is not known", f"known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[theirs]


def write_activation(ours: str) -> str:
    """The reference's name of an activation."""
    return _WRITTEN[ours]


def asked(c: Config, served: Sequence[str]) -> str:
    """The name in `architectures` that a family serves; the usual one where none is said."""
    named = c.take("architectures", tuple[str, ...], tuple(served[:1]))
    return next((name for name in named if name in served), served[0])


def count(
    c: Config, name: str, default: int = REQUIRED, *, aliases: Sequence[str] = (), low: int = 1
) -> int:
    """How many layers, or experts of one: a number that can be built."""
    number = c.take(name, int, default, aliases=aliases, low=low)
    if number > _MOST:
        raise c.error(name, f"{number} is more than {_MOST}")
    return number


def parts(layers: Iterable[Spec], place: str) -> list[Spec]:
    """What stands at a place in every layer that has one: `attention`, beside layers of `mixer`."""
    found = [dict(walk(layer)).get(place) for layer in layers]
    return [part for part in found if part is not None]


def read_head_dim(c: Config, dim: int, heads: int, absent: int | None = None) -> int:
    """head_dim; null is dim / heads, and so is an absent one if the family knows no other."""
    given = read_or_null(c, "head_dim", absent)
    if given is None and dim % heads:
        raise c.error("num_attention_heads", f"{heads} heads don't divide hidden_size {dim}")
    return given or dim // heads


def read_noise(c: Config, name: str) -> None:
    """Noise that the reference adds in training alone: checked, and of no use here."""
    read_rate(c, name, 0.0)


def read_rate(c: Config, name: str, absent: float) -> float:
    """A rate at which something is dropped in training."""
    rate = c.take(name, float, absent)
    if not 0 <= rate < 1:
        raise c.error(name, f"{rate} is not in [0, 1)")
    return rate


def read_or_null(c: Config, name: str, absent: Any, kind: Any = int) -> Any:
    """A number or null, where a field that is absent means something else than null."""
    return c.take(name, kind, None if name in c.data else absent)


def read_window(c: Config, absent: int | None = None) -> Mask:
    """The mask of `sliding_window`; null is a window without end."""
    size = read_or_null(c, "sliding_window", absent)
    return Causal() if size is None else Window(size)


def write_window(mask: Mask) -> int | None:
    """The `sliding_window` of a mask."""
    return mask.size if isinstance(mask, Window) else None


def roundest(near: float, exact: Callable[[float], bool]) -> float:
    """A number beside `near` that gives just what was read, a round one if there is one."""
    tried = (round(near, 9), near, math.nextafter(near, math.inf), math.nextafter(near, 0))
    return next((number for number in tried if exact(number)), near)
