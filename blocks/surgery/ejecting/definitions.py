"""The text of a class: the lines of its constructor that anything needs, and its methods."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from blocks.surgery.ejecting.code import calling, defining, dotted, line, name, names, of_self
from blocks.surgery.ejecting.entries import kind_of, shortened
from blocks.surgery.ejecting.tidy import tidied, together
from blocks.surgery.ejecting.values import Known, Made

__all__: list[str] = []


@dataclass
class Child:
    """A module that a class makes in its constructor."""

    module: nn.Module
    made: Made
    path: str
    times: ast.expr | None = None  # of a list of equal ones


@dataclass(eq=False)
class Definition:
    """A class, once all of it has been walked through.

    Attributes:
        book: the file that it is in.
        module: the module of the model that it is written for.
        label: what it is called, if nothing else is.
        config: whether it is made of the config, rather than of numbers.
        params: what its constructor is given.
        init: the lines of its constructor; `self.x = _x` stands for a child in them.
        tensors: the places of its tensors in the library's model.
        walk: the walk through its constructor.
    """

    book: Any
    module: nn.Module
    label: str
    config: bool = False
    params: dict[str, Known] = field(default_factory=dict)
    init: list[Any] = field(default_factory=list)
    children: dict[str, Child] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
    methods: dict[str, Any] = field(default_factory=dict)
    walk: Any = None

    def finish(self) -> Any:
        """The definition; its children's are finished first."""
        for tree in self.methods.values() if self.config else ():
            tidied(tree)
        lines = self.kept(of_self(*self.methods.values()) | {"layers"})
        lines = together([self.created(one) for one in lines])
        wanted = names(*lines)
        kinds: dict[str, ast.expr] = {"config": name("Config")}
        if not self.config:
            kinds = {key: kind_of(value) for key, value in self.params.items()}
        args = [ast.arg(key, kind) for key, kind in kinds.items() if key in wanted]
        above = line(ast.Expr(calling(ast.Attribute(calling("super"), "__init__"))))
        init = defining("__init__", [ast.arg("self"), *args], [above, *lines])
        tree: Any = ast.ClassDef(
            self.label, [dotted("nn.Module")], [], [init, *self.methods.values()], []
        )
        tree.doc = equation(type(self.module), self.config)
        return tree

    def kept(self, attrs: set[str]) -> list[Any]:
        """The lines of the constructor that give these attributes, and what those are made of."""
        kept, words = [], set()
        for one in reversed(self.init):
            targets = one.targets[0] if isinstance(one, ast.Assign) else one
            value = one.value if isinstance(one, ast.Assign) else one
            stored = {part.attr for part in ast.walk(targets) if isinstance(part, ast.Attribute)}
            stored |= {getattr(one, "buffer", "")}
            if stored & attrs or self.stored(one) & words:
                kept.append(one)
                words |= names(value) | self.given(value)
                attrs |= {part.attr for part in ast.walk(value) if isinstance(part, ast.Attribute)}
        return kept[::-1]

    def stored(self, one: Any) -> set[str]:
        """The variables that a line gives a value."""
        if isinstance(one, ast.Assign):
            return names(one.targets[0]) - {"self"}
        parts = (part for part in ast.walk(one) if isinstance(part, ast.Name))
        return {part.id for part in parts if isinstance(getattr(part, "ctx", None), ast.Store)}

    def given(self, node: ast.AST) -> set[str]:
        """The names that a child is made of, for which a word stands until its class is known."""
        child = self.children.get(node.id[1:]) if isinstance(node, ast.Name) else None
        given = child.made.given.values() if child is not None else ()
        return names(*(part.node for part in given if isinstance(part, Known) and part.node))

    def created(self, one: Any) -> Any:
        """The line that makes a child, in which its class is known by now."""
        word = getattr(getattr(one, "value", None), "id", "")
        child = self.children.get(word[1:]) if word.startswith("_") else None
        if child is None:
            return one
        return line(ast.Assign(one.targets, self.creation(child)), one.end, one.above)

    def creation(self, child: Child) -> ast.expr:
        if child.times is not None:
            inner = Child(child.module[0], child.made, "")  # pyright: ignore[reportIndexIssue]
            comprehension = ast.comprehension(name("_"), calling("range", child.times), [], 0)
            return calling("nn.ModuleList", ast.GeneratorExp(self.creation(inner), [comprehension]))
        kind, given = child.made.kind, child.made.given
        if not kind.__module__.startswith("torch."):
            info = self.book.infos[id(child.module)]
            params = self.book.init(info).args.args[1:]
            codes = [self.walk.code(info.params[param.arg]) for param in params]
            return calling(self.book.finish(info), *codes)
        args, options = [], {}
        for key, value in given.items():
            if key.isdigit():
                args.append(self.walk.code(value))
            elif not (key == "bias" and isinstance(value, Known) and value.value is True):
                options[key] = self.walk.code(value)
        return calling(f"nn.{kind.__name__}", *args, **options)


def equation(kind: type[Any], short: bool) -> str:
    """What a docstring says before its arguments, of this file alone; the equation if `short`."""
    told = shortened(inspect.cleandoc(kind.__doc__ or ""), plainly=True) or ""
    return told.split("\n\n")[0] if short else told
