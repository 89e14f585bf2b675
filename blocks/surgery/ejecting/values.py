"""What is known of a value while code is walked through: all of it, its parts, or its code."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from torch import nn

__all__: list[str] = []


class Value:
    """What an expression gives."""

    optional: bool = False  # whether it is found at run time, and may be None

    @property
    def is_none(self) -> bool:
        return isinstance(self, Known) and self.value is None

    @property
    def is_number(self) -> bool:
        """Whether it is known, and a config may hold it."""
        return isinstance(self, Known) and plain(self.value)


@dataclass
class Known(Value):
    """A Python object; `node` is code that gives it, `hint` the name it goes by in a config."""

    value: Any
    node: ast.expr | None = None
    hint: str | None = None

    @property
    def named(self) -> bool:
        """Whether it is written as something else than itself."""
        return self.node is not None or self.hint is not None


@dataclass
class Code(Value):
    """What is found only when the ejected model runs."""

    node: ast.expr
    optional: bool = False  # whether it may be None


@dataclass
class Many(Value):
    """A tuple or list of which the parts are known one by one."""

    items: list[Value]
    kind: type[Any] = tuple


@dataclass
class Fields(Value):
    """A dict with known keys, or an object of a dataclass."""

    items: dict[Any, Value]
    kind: type[Any] = dict


@dataclass
class Closure(Value):
    """A lambda, and what it knows."""

    node: ast.Lambda
    env: dict[str, Value]
    home: Any


@dataclass
class Bound(Value):
    """A method of a value."""

    owner: Value
    name: str


@dataclass
class Part(Value):
    """A module of the model, and the code that names it."""

    module: nn.Module
    node: ast.expr | None


@dataclass
class Made(Value):
    """A module in the making: its class, and what it is made of."""

    kind: type[Any]
    given: dict[str, Value]


@dataclass
class MadeList(Value):
    """As many equal modules in the making."""

    part: Made
    times: ast.expr


@dataclass
class Now(Value):
    """The step."""


@dataclass
class Memory(Value):
    """The state of a block, which becomes a dict."""

    node: ast.expr


@dataclass
class Sight(Value):
    """What a mask lets see, in the form that whoever reads it wants."""

    mask: Any


@dataclass
class Slot(Value):
    """What the constructor of a block is walked through with as `self`."""

    module: nn.Module
    prefix: str = ""
    path: str = ""  # where its tensors are in the library's model
    made: dict[str, Value] = field(default_factory=dict)


NONE = Known(None)


def plain(value: Any) -> bool:
    """Whether a value is a number that a config may hold."""
    if isinstance(value, tuple | list):
        return bool(value) and all(map(plain, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def all_known(values: list[Value]) -> list[Any] | None:
    """The objects that values are, if all of them are known."""
    known = [value.value for value in values if isinstance(value, Known)]
    return known if len(known) == len(values) else None
