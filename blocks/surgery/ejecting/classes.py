"""One class of an ejected file: its constructor, its methods, and where its tensors come from."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from blocks.errors import SpecError
from blocks.state import Content, content_of, leaves
from blocks.surgery.ejecting.calls import snake
from blocks.surgery.ejecting.definitions import Child, Definition
from blocks.surgery.ejecting.entries import Entry, finished, outcome
from blocks.surgery.ejecting.printing import text as text_of
from blocks.surgery.ejecting.scopes import BodyScope, InitScope
from blocks.surgery.ejecting.source import Home, method
from blocks.surgery.ejecting.values import (
    Code,
    Known,
    Made,
    Many,
    Memory,
    Part,
    Slot,
    Value,
    calling,
    dotted,
    name,
    plain,
)
from blocks.surgery.ejecting.walking import Walk, line

__all__: list[str] = []

NORMS = {"norm_in": "norm", "norm_out": "norm_out", "norm_after": "norm_after"}


@dataclass(eq=False)
class ClassInfo(Definition):
    """A class in the making, for one module of the model."""

    book: Any
    module: nn.Module
    label: str
    config: bool = False
    params: dict[str, Value] = field(default_factory=dict)
    labels: dict[tuple[int, str], str] = field(default_factory=dict)
    inside: set[int] = field(default_factory=set)
    made: dict[tuple[int, str], Value] = field(default_factory=dict)
    init: list[ast.stmt] = field(default_factory=list)
    children: dict[str, Child] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)  # attribute: place in the library's
    methods: dict[str, ast.FunctionDef] = field(default_factory=dict)
    needs: dict[str, dict[Any, str]] = field(default_factory=dict)
    numbers: dict[tuple[str, str], str] = field(default_factory=dict)
    walk: Any = None

    @property
    def memories(self) -> int:
        """How many of its parts remember something."""
        found = content_of(self.module, 1, 1, torch.float32, None)
        return len(list(leaves(found))) if isinstance(found, dict | list | Content) else 0

    # The constructor.

    def begin(self, given: dict[str, Value]) -> None:
        """Walks through the constructor."""
        self.inside.add(id(self.module))
        env: dict[str, Value] = {}
        for key, value in given.items():
            if isinstance(value, Known) and plain(value.value):
                if self.config:
                    env[key] = Known(value.value, value.node, key)
                else:
                    self.params[key] = value
                    env[key] = Known(value.value, name(key))
            else:
                env[key] = value
        self.construct(Slot(self.module, ""), env, "", Walk(InitScope(self), {}, None))

    def construct(self, slot: Slot, env: dict[str, Value], path: str, walk: Walk) -> None:
        """Walks through the constructor of a module that is written into this class."""
        found = method(type(slot.module), "__init__")
        if found is None:
            raise SpecError(f"{type(slot.module).__name__} has no constructor to read")
        slot.path = path  # pyright: ignore[reportAttributeAccessIssue]
        inner = Walk(walk.scope, {"self": slot, **env}, found, apart=walk.home is not None)
        inner.run(found.tree.body)
        self.init += inner.lines
        self.walk = self.walk or inner

    def parameter(self, hint: str, value: Any) -> ast.expr:
        """A number that whoever makes this gives it."""
        if self.config:
            return dotted(f"config.{self.book.field(hint, value)}")
        for label in (hint, *(f"{hint}_{i}" for i in range(2, 99))):
            held = self.params.get(label)
            if held is None:
                self.params[label] = Known(value, hint=hint)
                return name(label)
            if isinstance(held, Known) and held.value == value:
                return name(label)
        raise SpecError(f"too many different values of {hint}")

    def kept_number(self, hint: str, value: Any) -> ast.expr:
        """A number that a method reads."""
        for key, label in self.numbers.items():
            if key == (hint, repr(value)):
                return ast.Attribute(name("self"), label)
        taken = {text_of(one.targets[0]) for one in self.init if isinstance(one, ast.Assign)}
        labels = (hint, *(f"{hint}_{i}" for i in range(2, 99)))
        label = next(one for one in labels if f"self.{one}" not in taken)
        self.numbers[(hint, repr(value))] = label
        node: Any = ast.Attribute(name("self"), label)
        self.init.append(line(ast.Assign([node], self.parameter(hint, value))))
        return node

    def label_of(self, slot: Slot, attr: str) -> str:
        through = getattr(type(slot.module), "transparent", None)
        if attr == through:
            return slot.prefix or attr
        label = f"{slot.prefix}_{NORMS.get(attr, attr)}" if slot.prefix else NORMS.get(attr, attr)
        return label

    def took(
        self, walk: Walk, slot: Any, attr: str, value: Value, source: Any, buffer: bool = False
    ) -> None:
        """An attribute is given a value in a constructor."""
        key = (id(slot.module), attr)
        label = self.label_of(slot, attr)
        path = f"{slot.path}{attr}"
        target: Any = ast.Attribute(name("self"), label)
        if isinstance(value, Made) and value.kind is nn.ModuleList:
            self.took_list(walk, slot, attr, value.given["0"], source, label)
            return
        if isinstance(value, Made):
            child = getattr(slot.module, attr)
            self.labels[key] = label
            self.child(walk, child, value, label, path, source)
            return
        slot.made[attr] = value
        if isinstance(value, Known) and plain(value.value):
            walk.emit(ast.Assign([target], walk.code(value)), source)
            self.labels[key] = label
            self.made[key] = value
            slot.made[attr] = Known(value.value, target)
        elif isinstance(value, Code):
            self.labels[key], self.tensors[label] = label, path
            code: Any = ast.Assign([target], value.node)
            if buffer:
                call = calling("self.register_buffer", ast.Constant(label), value.node)
                code = ast.Expr(call)
                code.buffer = label
            walk.emit(code, source)
        elif (
            isinstance(value, Many)
            and value.items
            and all(isinstance(part, Known) and plain(part.value) for part in value.items)
        ):
            walk.emit(ast.Assign([target], walk.code(value)), source)
            self.labels[key] = label
            self.made[key] = value
            known = tuple(part.value for part in value.items)  # pyright: ignore[reportAttributeAccessIssue]
            slot.made[attr] = Known(known, target)

    def child(
        self, walk: Walk, child: nn.Module, made: Made, label: str, path: str, source: Any
    ) -> None:
        """A part that is a module: written into this class, or one of its own."""
        if isinstance(child, nn.Dropout | nn.Identity):
            return
        if written_in(child) and not type(child).__module__.startswith("torch."):
            self.inside.add(id(child))
            slot = Slot(child, label)
            given = dict(made.given)
            before, self.init = self.init, []
            self.construct(slot, given, f"{path}.", walk)
            walk.lines += self.init
            self.init = before
            return
        self.book.made[id(child)] = made
        self.children[label] = Child(child, made, path)
        target: Any = ast.Attribute(name("self"), label)
        walk.emit(ast.Assign([target], name(f"_{label}")), source)

    def took_list(
        self, walk: Walk, slot: Slot, attr: str, value: Value, source: Any, label: str
    ) -> None:
        live = getattr(slot.module, attr)
        key = (id(slot.module), attr)
        if isinstance(value, Many):
            for i, part in enumerate(value.items):
                if not isinstance(part, Made):
                    raise SpecError(f"{attr} is a list of unknown parts")
                own = snake(part.kind.__name__)
                own = f"{slot.prefix}_{own}" if slot.prefix else own
                while own in self.children:
                    own += "_2"
                self.labels[(id(live), str(i))] = own
                self.child(walk, live[i], part, own, f"{slot.path}{attr}.{i}", source)
            self.labels[key] = ""
            return
        times, made = value.times, value.part  # pyright: ignore[reportAttributeAccessIssue]
        self.labels[key] = label
        for one in live:
            self.book.made[id(one)] = made
        self.children[label] = Child(live, made, f"{slot.path}{attr}", times)
        target: Any = ast.Attribute(name("self"), label)
        walk.emit(ast.Assign([target], name(f"_{label}")), source)

    # Methods.

    def attribute(self, part: Part, attr: str) -> Value | None:
        """What an attribute of a module within this class is."""
        key = (id(part.module), attr)
        if id(part.module) not in self.inside or key not in self.labels:
            return None
        label, found = self.labels[key], getattr(part.module, attr)
        node: Any = ast.Attribute(name("self"), label)
        if isinstance(found, nn.ModuleList):
            if label:
                self.book.element(found[0])
                return Part(found, node)
            parts = []
            for i, one in enumerate(found):
                place: Any = ast.Attribute(name("self"), self.labels[(id(found), str(i))])
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
        scope = BodyScope(self)
        entry = Entry(walk, scope, memory)
        inside: dict[str, Value] = {"self": Part(self.module, name("self"))}
        for key, value in env.items():
            if key != "self":
                inside[key] = entry.given(key, value)  # pyright: ignore[reportArgumentType]
        tree = finished(Walk(scope, inside, found), entry, found, scope, "self")
        label = attr
        text = ast.dump(tree)
        while label in self.methods and ast.dump(self.methods[label]) != text:
            label += "_2"
        self.methods[label] = tree
        tree.name = attr if label == attr else label
        function = owner if label == "forward" else ast.Attribute(owner, label)
        return outcome(scope, calling(function, *entry.args(tree)))

    # The class.


def written_in(module: nn.Module) -> bool:
    """Whether a module is written into the class of what holds it."""
    from blocks.surgery.ejecting.book import wires

    if wires(module):
        return True
    if any(True for _ in module.parameters()) or any(True for _ in module.buffers()):
        return False
    own = {k: v for k, v in vars(module).items() if k not in vars(nn.Module())}
    return not module._modules and not any(isinstance(v, tuple) for v in own.values())
