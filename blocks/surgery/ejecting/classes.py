"""One class of an ejected file: its constructor, its methods, and where its tensors come from."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from blocks.errors import SpecError
from blocks.state import Content, content_of, leaves
from blocks.surgery.ejecting.code import (
    calling,
    dotted,
    filed,
    line,
    name,
    numbered,
    setting,
    snake,
)
from blocks.surgery.ejecting.definitions import Child, Definition
from blocks.surgery.ejecting.entries import Entry, finished, outcome
from blocks.surgery.ejecting.printing import text as text_of
from blocks.surgery.ejecting.scopes import BodyScope, InitScope
from blocks.surgery.ejecting.source import Home, method
from blocks.surgery.ejecting.values import (
    Code,
    Known,
    Made,
    MadeList,
    Many,
    Memory,
    Part,
    Slot,
    Value,
    plain,
)
from blocks.surgery.ejecting.walking import Walk

__all__: list[str] = []

NORMS = {"norm_in": "norm"}


@dataclass(eq=False)
class ClassInfo(Definition):
    """A class in the making, for one module of the model.

    Attributes:
        inside: the modules that are written into it, itself among them.
        labels: by module and attribute there, the attribute here.
        numbers: the attributes that only keep a number for a method.
    """

    inside: set[int] = field(default_factory=set)
    labels: dict[tuple[int, str], str] = field(default_factory=dict)
    numbers: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def memories(self) -> int:
        """How many of its parts remember something."""
        found = content_of(self.module, 1, 1, torch.float32, None)
        return len(list(leaves(found))) if isinstance(found, dict | list | Content) else 0

    # The constructor.

    def begin(self, given: dict[str, Value]) -> None:
        """Walks through the constructor."""
        self.inside.add(id(self.module))
        env = dict(given)
        for key, value in given.items():
            if isinstance(value, Known) and plain(value.value):
                if self.config:
                    env[key] = Known(value.value, value.node, key)
                else:
                    env[key], self.params[key] = Known(value.value, name(key)), value
        self.construct(Slot(self.module), env, Walk(InitScope(self.book, self), {}, None))

    def construct(self, slot: Slot, env: dict[str, Value], walk: Walk) -> None:
        """Walks through the constructor of a module that is written into this class."""
        found = method(type(slot.module), "__init__")
        if found is None:
            raise SpecError(f"{type(slot.module).__name__} has no constructor to read")
        inner = Walk(walk.scope, {"self": slot, **env}, found, apart=walk.home is not None)
        inner.run(found.tree.body)
        self.init += inner.lines
        self.walk = self.walk or inner

    def parameter(self, hint: str, value: Any) -> ast.expr:
        """A number that whoever makes this gives it."""
        if self.config:
            return dotted(f"config.{self.book.field(hint, value)}")
        new = Known(value, hint=hint)
        label = next(one for one in numbered(hint) if self.params.get(one, new).value == value)
        self.params.setdefault(label, new)
        return name(label)

    def kept_number(self, hint: str, value: Any) -> ast.expr:
        """A number that a method reads."""
        key = (hint, repr(value))
        if key not in self.numbers:
            taken = {text_of(one.targets[0]) for one in self.init if isinstance(one, ast.Assign)}
            self.numbers[key] = next(one for one in numbered(hint) if f"self.{one}" not in taken)
            target = dotted(f"self.{self.numbers[key]}")
            self.init.append(setting(target, self.parameter(hint, value)))
        return dotted(f"self.{self.numbers[key]}")

    def label_of(self, slot: Slot, attr: str) -> str:
        """What an attribute of a module that is written into this class is called in it."""
        if attr == getattr(type(slot.module), "transparent", None):
            return slot.prefix or attr
        return "_".join(filter(None, [slot.prefix, NORMS.get(attr, attr)]))

    def took(
        self, walk: Walk, slot: Slot, attr: str, value: Value, source: Any, buffer: bool = False
    ) -> None:
        """An attribute is given a value in a constructor."""
        key, label, path = (id(slot.module), attr), self.label_of(slot, attr), slot.path + attr
        target = dotted(f"self.{label}")
        if isinstance(value, Made):
            self.labels[key] = label
            live = getattr(slot.module, attr)
            if value.kind is nn.ModuleList:
                self.took_list(walk, slot, attr, value.given["0"], source)
            else:
                self.child(walk, Child(live, value, path), label, source)
            return
        slot.made[attr] = value
        parts = value.items if isinstance(value, Many) else [value]
        if parts and all(one.is_number for one in parts):
            known = [part.value for part in parts if isinstance(part, Known)]
            walk.emit(setting(target, walk.code(value)), source)
            self.labels[key] = label
            slot.made[attr] = Known(tuple(known) if isinstance(value, Many) else known[0], target)
        elif isinstance(value, Code):
            self.labels[key], self.tensors[label] = label, path
            made = setting(target, value.node)
            if buffer:
                call = calling("self.register_buffer", ast.Constant(label), value.node)
                made = line(ast.Expr(call))
                made.buffer = label
            walk.emit(made, source)

    def child(self, walk: Walk, child: Child, label: str, source: Any) -> None:
        """A part that is a module: written into this class, or one of its own."""
        module = child.module
        if isinstance(module, nn.Dropout | nn.Identity):
            return
        if written_in(module) and not type(module).__module__.startswith("torch."):
            self.inside.add(id(module))
            before, self.init = self.init, []
            self.construct(Slot(module, label, f"{child.path}."), dict(child.made.given), walk)
            walk.lines += self.init
            self.init = before
            return
        for one in [module] if child.times is None else module.children():
            self.book.made[id(one)] = child.made
        self.children[label] = child
        walk.emit(setting(dotted(f"self.{label}"), name(f"_{label}")), source)

    def took_list(self, walk: Walk, slot: Slot, attr: str, value: Value, source: Any) -> None:
        live, key = getattr(slot.module, attr), (id(slot.module), attr)
        if isinstance(value, MadeList):
            child = Child(live, value.part, slot.path + attr, value.times)
            return self.child(walk, child, self.labels[key], source)
        self.labels[key] = ""
        for i, part in enumerate(value.items):  # pyright: ignore[reportAttributeAccessIssue]
            if not isinstance(part, Made):
                raise SpecError(f"{attr} is a list of unknown parts")
            base = "_".join(filter(None, [slot.prefix, snake(part.kind.__name__)]))
            label = next(one for one in numbered(base) if one not in self.children)
            self.labels[(id(live), str(i))] = label
            self.child(walk, Child(live[i], part, f"{slot.path}{attr}.{i}"), label, source)
        return None

    # Methods.

    def attribute(self, part: Part, attr: str) -> Value | None:
        """What an attribute of a module within this class is."""
        key = (id(part.module), attr)
        if id(part.module) not in self.inside or key not in self.labels:
            return None
        label, found = self.labels[key], getattr(part.module, attr)
        node = dotted(f"self.{label}")
        if isinstance(found, nn.ModuleList):
            if label:
                self.book.element(found[0])
                return Part(found, node)
            parts = []
            for i, one in enumerate(found):
                place = dotted(f"self.{self.labels[(id(found), str(i))]}")
                parts.append(Part(one, None if id(one) in self.inside else place))
            return Many(parts)
        if isinstance(found, nn.Module):
            return Part(found, None if id(found) in self.inside else node)
        if isinstance(found, torch.Tensor):
            return Code(node)
        return Known(found, node, attr) if plain(found) else Known(found)

    def method(
        self,
        walk: Walk,
        owner: ast.expr,
        found: Home,
        env: dict[str, Value],
        attr: str,
        memory: Memory | None = None,
    ) -> Value:
        """A call of one of its methods, which is written when it is first called."""
        scope = BodyScope(self.book, self)
        entry = Entry(walk, scope, memory)
        inside = {key: entry.given(key, value) for key, value in env.items() if key != "self"}
        inside["self"] = Part(self.module, name("self"))
        tree = finished(Walk(scope, inside, found), found, "self")
        label = filed(self.methods, attr, tree)
        function = owner if label == "forward" else ast.Attribute(owner, label)
        return outcome(scope, calling(function, *entry.args(tree)))


def wires(module: nn.Module) -> bool:
    """Whether a module only joins others."""
    return type(module).__name__ in ("Residual", "Chain", "Normed", "Parallel", "Checkpointed")


def written_in(module: nn.Module) -> bool:
    """Whether a module is written into the class of what holds it."""
    if wires(module):
        return True
    if any(True for _ in module.parameters()) or any(True for _ in module.buffers()):
        return False
    own = {k: v for k, v in vars(module).items() if k not in vars(nn.Module())}
    return not module._modules and not any(isinstance(v, tuple) for v in own.values())
