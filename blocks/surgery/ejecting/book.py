"""What an ejected file is made of: its functions and classes, and what its layers share."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from torch import nn

from blocks.errors import SpecError
from blocks.surgery.ejecting.classes import ClassInfo, wires
from blocks.surgery.ejecting.code import calling, filed, joined_name, name, numbered, snake
from blocks.surgery.ejecting.entries import Entry, finished, outcome
from blocks.surgery.ejecting.scopes import FreeScope, Scope
from blocks.surgery.ejecting.source import Home, method
from blocks.surgery.ejecting.values import Closure, Code, Known, Many, Memory, Part, Value
from blocks.surgery.ejecting.walking import Walk

__all__: list[str] = []

CLASSES = {"GQAttention": "Attention", "TokenEmbedding": "Embedding"}
FUNCTIONS = {"rope_make_table": "rope_table", "rope_turned": "rotate", "rope": "rotate_both"}
HINTS = {"dims": "rotated_dim", "size": "window"}
FIRST = ("positions", "length", "rope", "keys")  # of the arguments that all layers share
LAST = ("seen", "cache")


@dataclass
class Shared:
    """What all layers share: the name it goes by, its type, and how it is made."""

    base: str
    kind: str
    closure: Closure | None = None


def given() -> dict[Hashable, Shared]:
    """What every model has for its layers."""
    found = {base: Shared(base, "Tensor") for base in ("positions", "keys", "length")}
    return {**found, "cache": Shared("cache", "dict[str, Tensor]")}


@dataclass
class Book:
    """The file in the making.

    Attributes:
        config: the fields of config.json.
        functions: by name, their definitions.
        classes: by name, their definitions.
        helpers: which functions it needs that are no code of the library.
        infos: by module, its class in the making.
        made: by module, what it was made of.
        finished: by class in the making, the name it has got.
        unpadded: whether all tokens are real.
        marks: numbers for words that stand for code.
    """

    config: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, Any] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    shared: dict[Hashable, Shared] = field(default_factory=given)
    infos: dict[int, ClassInfo] = field(default_factory=dict)
    made: dict[int, Any] = field(default_factory=dict)
    finished: dict[int, str] = field(default_factory=dict)
    unpadded: bool = False
    marks: Iterator[int] = field(default_factory=count)

    def rank(self, key: Hashable) -> tuple[int, str]:
        """Where an argument stands among others: the cache last, what is seen before it."""
        base = self.shared[key].base
        order = (*FIRST, "", *LAST)
        return order.index(base if base in order else ""), base

    def field(self, hint: str, value: Any) -> str:
        """The name that a number has in the config."""
        value = list(value) if isinstance(value, tuple) else value
        labels = numbered(HINTS.get(hint, hint))
        label = next(one for one in labels if _alike(self.config.get(one, value), value))
        self.config[label] = value
        return label

    # What layers share.

    def once(self, walk: Walk, key: Value, closure: Any) -> Value:
        """What the step finds once for all layers."""
        text = _key(key)
        first = key.items[0] if isinstance(key, Many) else key
        kind = first.value if isinstance(first, Known) else "table"
        base = snake(kind.__name__) if isinstance(kind, type) else str(kind)
        if text not in self.shared:
            env = {k: _afar(v) for k, v in closure.env.items()}
            annotation = "tuple[Tensor, Tensor]" if base == "rope" else "Tensor"
            self.shared[text] = Shared(base, annotation, Closure(closure.node, env, closure.home))
        return Code(walk.scope.need(text))

    def fact(self, scope: Scope, attr: str) -> Value:
        """A field of the step."""
        if attr in ("positions", "length"):
            return Code(scope.need(attr))
        if attr in ("segments", "seen", "global_mask", "clock", "condition"):
            return Known(None)
        raise SpecError(f"its layers ask for the step's {attr}")

    def sight(self, scope: Scope, mask: Any, table: bool) -> ast.expr:
        key = ("seen", mask, table)
        self.shared.setdefault(key, Shared("seen", "Tensor" if table else "Tensor | None"))
        return scope.need(key)

    def biased(self, walk: Walk, bias: Value, table: Value, q: ast.expr) -> ast.expr:
        """Biases of scores as the mask of torch's attention."""
        code = walk.code(bias)
        if not table.is_none:
            self.helpers.add("biased_or_not" if table.optional else "biased")
            code = calling("biased", code, walk.code(table))
        return calling(ast.Attribute(code, "to"), ast.Attribute(q, "dtype"))

    # Functions.

    def function(self, walk: Walk, found: Home, env: dict[str, Value], label: str) -> Value:
        """A call of a function, which is written into the file."""
        scope = FreeScope(self)
        entry = Entry(walk, scope)
        inner = Walk(scope, {key: entry.given(key, value) for key, value in env.items()}, found)
        tree = finished(inner, found)
        label = label.strip("_")
        label = f"{label}_of" if label in walk.stored else label
        called = filed(self.functions, FUNCTIONS.get(label, label), tree)
        return outcome(scope, calling(called, *entry.args(tree)))

    # Modules.

    def called(
        self, walk: Walk, part: Part, attr: str, args: list[Value], options: dict[str, Value]
    ) -> Value:
        """A call of a module of ours, or of one of its methods."""
        kind, info = type(part.module), walk.scope.info
        found = method(kind, attr)
        if found is None:
            raise SpecError(f"{kind.__name__}.{attr} has no source")
        env = walk.bound(found, [part, *args], options)
        if info is not None and part.module is info.module:
            value = walk.written_out(found, env)
            return info.method(walk, name("self"), found, env, attr) if value is None else value
        inside = info is not None and id(part.module) in info.inside
        if inside and attr == "forward" and wires(part.module):
            return walk.spliced(found, env)
        if inside or part.node is None:
            return walk.function(found, env, joined_name(kind, "" if attr == "forward" else attr))
        memory = next((one for one in args if isinstance(one, Memory)), None)
        return self.info(part.module).method(walk, part.node, found, env, attr, memory)

    def element(self, module: nn.Module) -> None:
        """One of a list of equal modules, which is called with a tensor wherever it is called."""
        if id(module) not in self.infos and type(module).__module__.startswith("blocks."):
            walk = Walk(FreeScope(self), {}, None)
            self.called(walk, Part(module, name("part")), "forward", [Code(name("x"))], {})

    def finish(self, info: ClassInfo) -> str:
        """The name of a module's class, which is written once for all that are alike."""
        if id(info) not in self.finished:
            tree = info.finish()
            self.finished[id(info)] = filed(self.classes, tree.name, tree, gap="")
        return self.finished[id(info)]

    def init(self, info: ClassInfo) -> ast.FunctionDef:
        """The constructor of a module's class."""
        return self.classes[self.finish(info)].body[0]

    def info(self, module: nn.Module) -> ClassInfo:
        if id(module) not in self.infos:
            if id(module) not in self.made:
                raise SpecError(f"where its {type(module).__name__} was made is not known")
            label = CLASSES.get(type(module).__name__, type(module).__name__)
            self.infos[id(module)] = ClassInfo(self, module, label)
            self.infos[id(module)].begin(self.made[id(module)].given)
        return self.infos[id(module)]


def _alike(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, float) == isinstance(b, float)


def _key(key: Value) -> Hashable:
    if isinstance(key, Many):
        return tuple(map(_key, key.items))
    return key.value if isinstance(key, Known) else "code"


def _afar(value: Value) -> Value:
    """What a maker of shared things reads, as the model has it: of a tensor only its dtype."""
    if isinstance(value, Code):
        return Code(name("x"), value.optional)
    if isinstance(value, Known):
        return Known(value.value, hint=value.hint)
    return Part(value.module, None) if isinstance(value, Part) else value
