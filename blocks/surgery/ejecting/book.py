"""What an ejected file is made of: its functions and classes, and what its layers share."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from blocks.attention.mask import Full
from blocks.errors import SpecError
from blocks.surgery.ejecting.calls import joined_name, snake
from blocks.surgery.ejecting.classes import ClassInfo
from blocks.surgery.ejecting.entries import Entry, finished, outcome
from blocks.surgery.ejecting.scopes import FreeScope, Scope
from blocks.surgery.ejecting.source import Home, method
from blocks.surgery.ejecting.values import (
    Closure,
    Code,
    Known,
    Many,
    Memory,
    Part,
    Value,
    calling,
    name,
)
from blocks.surgery.ejecting.walking import Walk

__all__: list[str] = []

CLASSES = {"GQAttention": "Attention", "TokenEmbedding": "Embedding"}
FUNCTIONS = {"rope_make_table": "rope_table", "rope_turned": "rotate", "rope": "rotate_both"}
HINTS = {"dims": "rotated_dim", "size": "window"}


@dataclass
class Shared:
    """What all layers share: the name it goes by, its type, and how it is made."""

    base: str
    kind: str
    closure: Closure | None = None


@dataclass
class Book:
    """The file in the making."""

    config: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, Any] = field(default_factory=dict)  # by name: the definition
    helpers: set[str] = field(default_factory=set)
    infos: dict[int, ClassInfo] = field(default_factory=dict)
    shared: dict[Hashable, Shared] = field(default_factory=dict)
    made: dict[int, Any] = field(default_factory=dict)
    classes: dict[str, Any] = field(default_factory=dict)
    finished: dict[int, str] = field(default_factory=dict)
    unpadded: bool = False
    counter: int = 0

    def __post_init__(self) -> None:
        for base, kind in {
            "positions": "Tensor",
            "keys": "Tensor",
            "length": "Tensor",
            "mask": "Tensor | None",
            "types": "Tensor | None",
            "memory": "Tensor",
            "memory_mask": "Tensor | None",
            "cache": "dict[str, Tensor]",
        }.items():
            self.shared[base] = Shared(base, kind)

    def count(self) -> int:
        self.counter += 1
        return self.counter

    def rank(self, key: Hashable) -> tuple[int, str]:
        """Where an argument stands among others: the cache last, what is seen before it."""
        base = self.shared[key].base
        order = ("positions", "length", "types", "rope", "memory", "memory_mask", "mask", "keys")
        last = {"seen": 98, "cache": 99}
        return last.get(base, order.index(base) if base in order else 50), base

    def field(self, hint: str, value: Any, prefix: str = "") -> str:
        """The name that a number has in the config."""
        hint = HINTS.get(hint, hint)
        for label in (
            hint,
            f"{prefix}_{hint}" if prefix else hint,
            *(f"{hint}_{i}" for i in range(2, 999)),
        ):
            if label not in self.config or _alike(self.config[label], value):
                self.config[label] = list(value) if isinstance(value, tuple) else value
                return label
        raise SpecError(f"too many different values of {hint}")

    # What layers share.

    def once(self, walk: Walk, key: Value, closure: Any) -> Value:
        """What the step finds once for all layers."""
        text = _key(walk, key)
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
        match attr:
            case "positions" | "length" | "memory":
                return Code(scope.need(attr))
            case "real" | "memory_real" | "types":
                base = {"real": "mask", "memory_real": "memory_mask"}.get(attr, attr)
                return Code(scope.need(base), optional=True)
            case "segments" | "seen" | "global_mask" | "clock" | "condition":
                return Known(None)
        raise SpecError(f"its layers ask for the step's {attr}")

    def sight(self, scope: Scope, mask: Any, table: bool) -> ast.expr:
        key = ("seen", mask, table)
        kind = "Tensor" if table else "Tensor | None"
        self.shared.setdefault(key, Shared("seen", kind))
        return scope.need(key)

    def is_full(self, mask: Any) -> bool:
        return isinstance(mask, Full)

    def biased(self, walk: Walk, bias: Value, table: Value, q: ast.expr) -> ast.expr:
        """Biases of scores as the mask of torch's attention."""
        code = walk.code(bias)
        if not (isinstance(table, Known) and table.value is None):
            optional = isinstance(table, Code) and table.optional
            self.helpers.add("biased_or_not" if optional else "biased")
            code = calling("biased", code, walk.code(table))
        return calling(ast.Attribute(code, "to"), ast.Attribute(q, "dtype"))

    def remembered(self, walk: Walk, memory: Memory, key: str, new: Value) -> Value:
        self.helpers.add("remember")
        return Code(calling("remember", memory.node, ast.Constant(key), walk.code(new)))

    def memory_of(self, memory: Memory, key: Any, several: bool) -> Memory:
        if not several:
            return memory
        place = ast.Constant(key.value)
        return Memory(calling(ast.Attribute(memory.node, "setdefault"), place, ast.Dict([], [])))

    # Functions.

    def function(self, walk: Walk, found: Home, env: dict[str, Value], label: str) -> Value:
        """A call of a function, which is written into the file."""
        scope = FreeScope(self)
        entry = Entry(walk, scope)
        inner = Walk(scope, {key: entry.given(key, value) for key, value in env.items()}, found)
        tree = finished(inner, entry, found, scope)
        label = label.strip("_")
        label = f"{label}_of" if label in walk.stored else label
        label = FUNCTIONS.get(label, label)
        return outcome(scope, calling(self.named(label, tree), *entry.args(tree)))

    def named(self, label: str, tree: ast.FunctionDef) -> str:
        """The name of a function of this text."""
        tree.name = ""
        text = ast.dump(tree)
        for candidate in (label, *(f"{label}_{i}" for i in range(2, 99))):
            if candidate not in self.functions or self.functions[candidate][0] == text:
                tree.name = candidate
                self.functions.setdefault(candidate, (text, tree))
                return candidate
        raise SpecError(f"too many kinds of {label}")

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
        if attr == "init_state":
            return walk.spliced(found, env)
        if info is not None and part.module is info.module:
            value = walk.written_out(found, env)
            if value is not None:
                return value
            return info.method(walk, name("self"), found, env, attr)
        inside = info is not None and id(part.module) in info.inside
        if inside and attr == "forward" and wires(part.module):
            return walk.spliced(found, env)
        if inside or (part.node is None):
            label = joined_name(kind, "" if attr == "forward" else attr)
            return walk.function(found, env, label)
        other = self.info(part.module)
        memory = next((one for one in args if isinstance(one, Memory)), None)
        return other.method(walk, part.node, found, env, attr, memory)

    def element(self, module: nn.Module) -> None:
        """One of a list of equal modules, which is called with a tensor wherever it is called."""
        if id(module) not in self.infos and type(module).__module__.startswith("blocks."):
            walk = Walk(FreeScope(self), {}, None)
            self.called(walk, Part(module, name("part")), "forward", [Code(name("x"))], {})

    def finish(self, info: ClassInfo) -> str:
        """The name of a module's class, which is written once for all that are alike."""
        if id(info) not in self.finished:
            tree: Any = info.finish()
            label, tree.name = tree.name, ""
            text = ast.dump(tree)
            for candidate in (label, *(f"{label}{i}" for i in range(2, 99))):
                if candidate not in self.classes or self.classes[candidate][0] == text:
                    tree.name = candidate
                    self.classes.setdefault(candidate, (text, tree))
                    break
            self.finished[id(info)] = tree.name
        return self.finished[id(info)]

    def parameters(self, label: str) -> list[str]:
        """What a class's constructor is given."""
        init = self.classes[label][1].body[0]
        return [arg.arg for arg in init.args.args[1:]]

    def info(self, module: nn.Module) -> ClassInfo:
        if id(module) not in self.infos:
            if id(module) not in self.made:
                raise SpecError(f"where its {type(module).__name__} was made is not known")
            label = CLASSES.get(type(module).__name__, type(module).__name__)
            self.infos[id(module)] = ClassInfo(self, module, label)
            self.infos[id(module)].begin(self.made[id(module)].given)
        return self.infos[id(module)]


def wires(module: nn.Module) -> bool:
    """Whether a module only joins others."""
    return type(module).__name__ in ("Residual", "Chain", "Normed", "Parallel", "Checkpointed")


def _alike(a: Any, b: Any) -> bool:
    same = (list(a) if isinstance(a, tuple) else a) == (list(b) if isinstance(b, tuple) else b)
    return same and isinstance(a, float) == isinstance(b, float)


def _key(walk: Walk, key: Value) -> Hashable:
    if isinstance(key, Known):
        return key.value
    if isinstance(key, Many):
        return tuple(_key(walk, part) for part in key.items)
    return "code"


def _afar(value: Value) -> Value:
    """What a maker of shared things reads, as the model has it: of a tensor only its dtype."""
    if isinstance(value, Code):
        return Code(name("x"), value.optional)
    if isinstance(value, Known):
        return Known(value.value, hint=value.hint)
    if isinstance(value, Part):
        return Part(value.module, None)
    return value
