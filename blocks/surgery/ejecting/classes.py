"""One class of an ejected file: its constructor, its methods, and where its tensors come from."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from blocks.state import Content, content_of, leaves
from blocks.surgery.ejecting.calls import snake
from blocks.surgery.ejecting.refusal import Refusal
from blocks.surgery.ejecting.printing import text as text_of
from blocks.surgery.ejecting.scopes import Entry, Scope, finished, outcome
from blocks.surgery.ejecting.source import Home, method
from blocks.surgery.ejecting.tidy import tidied
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
    names,
    plain,
)
from blocks.surgery.ejecting.walk import Walk, line

__all__: list[str] = []

NORMS = {"norm_in": "norm", "norm_out": "norm_out", "norm_after": "norm_after"}


class InitScope(Scope):
    """A constructor's."""

    def __init__(self, info: ClassInfo):
        super().__init__(info.book)
        self.info = info

    def lift(self, hint: str, value: Any) -> ast.expr:
        return self.info.parameter(hint, value)


class BodyScope(Scope):
    """A method's."""

    def __init__(self, info: ClassInfo):
        super().__init__(info.book)
        self.info = info

    def lift(self, hint: str, value: Any) -> ast.expr:
        return self.info.kept_number(hint, value)

    def attribute_of(self, part: Part, attr: str) -> Value:
        found = self.info.attribute(part, attr)
        return super().attribute_of(part, attr) if found is None else found


@dataclass
class Child:
    """A module that a class makes in its constructor."""

    module: nn.Module
    made: Made
    path: str
    times: ast.expr | None = None  # of a list of equal ones


@dataclass(eq=False)
class ClassInfo:
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
    children: dict[str, Child | list[Child]] = field(default_factory=dict)
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
            raise Refusal(f"{type(slot.module).__name__} has no constructor to read")
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
        raise Refusal(f"too many different values of {hint}")

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
        elif isinstance(value, Many) and value.items and all(
            isinstance(part, Known) and plain(part.value) for part in value.items
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
            given = {
                k: v for k, v in made.given.items()
            }
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
                    raise Refusal(f"{attr} is a list of unknown parts")
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
                return Code(node)
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
        inside = {"self": Part(self.module, name("self"))}
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

    def finish(self) -> ast.ClassDef:
        """The definition; its children's are finished first."""
        for tree in self.methods.values() if self.config else ():
            tidied(tree)
        used = {
            part.attr
            for tree in self.methods.values()
            for part in ast.walk(tree)
            if isinstance(part, ast.Attribute)
            and isinstance(part.value, ast.Name)
            and part.value.id == "self"
        }
        lines = self._kept(used | {"layers"})
        lines = [self._created(one) for one in lines]
        wanted = set().union(*(names(one) for one in lines)) if lines else set()
        args = [ast.arg("self")]
        if self.config:
            args += [ast.arg("config", name("Config"))] if "config" in wanted else []
        else:
            kinds = ((key, value) for key, value in self.params.items() if key in wanted)
            args += [ast.arg(key, _kind(value)) for key, value in kinds]
        above = ast.Expr(calling(ast.Attribute(calling("super"), "__init__")))
        init: Any = ast.FunctionDef(
            "__init__", ast.arguments([], args, None, [], [], None, []), [above, *lines], []
        )
        init.doc = None
        tree: Any = ast.ClassDef(
            self.label, [dotted("nn.Module")], [], [init, *self.methods.values()], []
        )
        tree.doc = equation(type(self.module))
        return tree

    def _kept(self, used: set[str]) -> list[ast.stmt]:
        """The lines of the constructor that anything needs."""
        kept: list[ast.stmt] = []
        wanted: set[str] = set()
        for one in reversed(self.init):
            targets = set()
            if isinstance(one, ast.Assign):
                targets = {
                    part.attr for part in ast.walk(one.targets[0]) if isinstance(part, ast.Attribute)
                } | {part.id for part in ast.walk(one.targets[0]) if isinstance(part, ast.Name)}
                targets.discard("self")
            elif isinstance(one, ast.Expr):
                targets = {getattr(one, "buffer", None)}
            else:
                targets = {part.id for part in ast.walk(one) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
            if targets & (used | wanted):
                kept.append(one)
                value = one.value if isinstance(one, ast.Assign) else one
                wanted |= names(value)
                wanted |= {part.attr for part in ast.walk(value) if isinstance(part, ast.Attribute)}
                self._used = getattr(self, "_used", set()) | targets
        return kept[::-1]

    def _created(self, one: ast.stmt) -> ast.stmt:
        """The line that makes a child, in which its class is known by now."""
        if not (isinstance(one, ast.Assign) and isinstance(one.value, ast.Name)):
            return one
        child = self.children.get(one.value.id[1:]) if one.value.id.startswith("_") else None
        if not isinstance(child, Child):
            return one
        code = self.creation(child)
        made: Any = ast.Assign(one.targets, code)
        made.end, made.above = getattr(one, "end", ""), getattr(one, "above", ())
        return made

    def creation(self, child: Child) -> ast.expr:
        if child.times is not None:
            inner = Child(child.module[0], child.made, "")  # pyright: ignore[reportIndexIssue]
            comprehension = ast.comprehension(name("_"), calling("range", child.times), [], 0)
            return calling("nn.ModuleList", ast.GeneratorExp(self.creation(inner), [comprehension]))
        kind, given = child.made.kind, child.made.given
        if kind.__module__.startswith("torch."):
            return self.torch_creation(kind, given)
        if kind.forward is nn.Linear.forward:
            sizes = [given["dim"], given["out_dim"] if given["out_dim"].value else given["dim"]]  # pyright: ignore
            return self.torch_creation(nn.Linear, {"0": sizes[0], "1": sizes[1], "bias": given["bias"]})
        info = self.book.infos[id(child.module)]
        label = self.book.finish(info)
        wanted = self.book.parameters(label)
        args = []
        for key in wanted:
            value = info.params[key]
            args.append(self.walk.code(value))
        return calling(label, *args)

    def torch_creation(self, kind: Any, given: dict[str, Value]) -> ast.expr:
        args, options = [], {}
        for key, value in given.items():
            if key.isdigit():
                args.append(self.walk.code(value))
            elif not (key == "bias" and isinstance(value, Known) and value.value is True):
                options[key] = self.walk.code(value)
        return calling(f"nn.{kind.__name__}", *args, **options)


def written_in(module: nn.Module) -> bool:
    """Whether a module is written into the class of what holds it."""
    from blocks.surgery.ejecting.book import wires

    if wires(module):
        return True
    if any(True for _ in module.parameters()) or any(True for _ in module.buffers()):
        return False
    own = {k: v for k, v in vars(module).items() if k not in vars(nn.Module())}
    return not module._modules and not any(isinstance(v, tuple) for v in own.values())


def equation(kind: type[Any]) -> str:
    """What a docstring says before its arguments."""
    text = ast.get_docstring(ast.parse(f"class A:\n    r{chr(34) * 3}{kind.__doc__}{chr(34) * 3}").body[0]) or ""  # pyright: ignore[reportArgumentType]
    lines = []
    for one in text.split("\n"):
        if one.startswith(("Args:", "Shapes:", "Errors:", "Attributes:", "Example:")):
            break
        lines.append(one)
    return "\n".join(lines).strip()


def _kind(value: Value) -> ast.expr:
    from blocks.surgery.ejecting.scopes import _kind_of

    return _kind_of(value.value)  # pyright: ignore[reportAttributeAccessIssue]
