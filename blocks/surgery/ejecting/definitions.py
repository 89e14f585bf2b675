"""The text of a class: the lines of its constructor that anything needs, and its methods."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn

from blocks.surgery.ejecting.entries import kind_of, shortened
from blocks.surgery.ejecting.tidy import tidied, together
from blocks.surgery.ejecting.values import (
    Known,
    Made,
    Value,
    calling,
    dotted,
    name,
    names,
)

__all__: list[str] = []

NORMS = {"norm_in": "norm", "norm_out": "norm_out", "norm_after": "norm_after"}


@dataclass
class Child:
    """A module that a class makes in its constructor."""

    module: nn.Module
    made: Made
    path: str
    times: ast.expr | None = None  # of a list of equal ones


class Definition:
    """What a class becomes, once all of it has been walked through."""

    book: Any
    module: nn.Module
    label: str
    config: bool
    params: dict[str, Value]
    init: list[ast.stmt]
    children: dict[str, Child]
    methods: dict[str, ast.FunctionDef]
    walk: Any

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
        lines = together([self._created(one) for one in lines])
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
        tree.doc = equation(type(self.module), self.config)
        return tree

    def _kept(self, used: set[str]) -> list[ast.stmt]:
        """The lines of the constructor that anything needs."""
        kept: list[ast.stmt] = []
        attrs, words = set(used), set()
        for one in reversed(self.init):
            targets = one.targets[0] if isinstance(one, ast.Assign) else one
            stored = {part.attr for part in ast.walk(targets) if isinstance(part, ast.Attribute)}
            local = _stored(targets, isinstance(one, ast.Assign))
            stored |= {getattr(one, "buffer", "")}
            if stored & attrs or local & words:
                kept.append(one)
                value = one.value if isinstance(one, ast.Assign) else one
                words |= names(value) | self._given(value)
                attrs |= {part.attr for part in ast.walk(value) if isinstance(part, ast.Attribute)}
        return kept[::-1]

    def _given(self, node: ast.AST) -> set[str]:
        """The names that a child is made of, for which a word stands until its class is known."""
        child = self.children.get(node.id[1:]) if isinstance(node, ast.Name) else None
        given = child.made.given.values() if child is not None else ()
        nodes = (part.node for part in given if isinstance(part, Known) and part.node is not None)
        return set().union(*map(names, nodes))

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
            return self.torch_creation(
                nn.Linear, {"0": sizes[0], "1": sizes[1], "bias": given["bias"]}
            )
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


def _stored(node: ast.AST, target: bool) -> set[str]:
    """The names that a target, or a statement, gives a value."""
    parts = (part for part in ast.walk(node) if isinstance(part, ast.Name) and part.id != "self")
    return {
        part.id for part in parts if target or isinstance(getattr(part, "ctx", None), ast.Store)
    }


def equation(kind: type[Any], short: bool) -> str:
    """What a docstring says before its arguments, of this file alone; the equation if `short`."""
    told = shortened(inspect.cleandoc(kind.__doc__ or "")) or ""
    parts = told.split("\n\n")
    return (
        parts[0]
        if short
        else "\n\n".join(one for one in parts if one is parts[0] or "`" not in one)
    )


def _kind(value: Value) -> ast.expr:
    return kind_of(value.value)  # pyright: ignore[reportAttributeAccessIssue]
