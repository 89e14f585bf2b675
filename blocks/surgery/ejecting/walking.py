"""Statements of the library's code, walked through for one module of one model."""

from __future__ import annotations

import ast
from collections import Counter
from typing import Any

from blocks.errors import SpecError
from blocks.surgery.ejecting.assigning import Assigning
from blocks.surgery.ejecting.code import (
    line,
    name,
    names,
    setting,
    simple,
    stored_names,
    substituted,
)
from blocks.surgery.ejecting.source import Home
from blocks.surgery.ejecting.values import NONE, Closure, Code, Fields, Known, Many, Part, Value

__all__: list[str] = []


class Walk(Assigning):
    """One walk through one function: names and what they are, and the lines that stay."""

    def __init__(self, scope: Any, env: dict[str, Value], home: Any, apart: bool = False):
        self.scope, self.env, self.home = scope, env, home
        self.apart = apart  # whether every assignment gets a name of its own
        self.lines: list[Any] = []
        self.stored = Counter() if home is None else stored_names(home.tree)
        self.asked = set() if home is None else {arg.arg for arg in home.params}

    def beside(self, env: dict[str, Value], home: Any) -> Walk:
        """A walk through other code in the same place."""
        return Walk(self.scope, env, home, self.apart)

    # Statements.

    def run(self, body: list[ast.stmt]) -> Value | None:
        """Walks through statements: what they return, or None where they don't."""
        for statement in body:
            found = self.step(statement)
            if found is not None:
                return found
        return None

    def step(self, node: ast.stmt) -> Value | None:
        match node:
            case ast.Return():
                return NONE if node.value is None else self.value(node.value)
            case ast.If():
                return self.on_if(node)
            case ast.For():
                return self.on_for(node)
            case ast.Assign():
                value = self.value(node.value)
                for target in node.targets:
                    self.assign(target, value, node)
            case ast.AnnAssign() if node.value is not None:
                self.assign(node.target, self.value(node.value), node)
            case ast.AugAssign(target=ast.Name() as target):
                value = self.joined(node.op, self.value(target), self.value(node.value))
                self.assign(target, value, node)
            case ast.Expr(value=ast.Constant()):  # a docstring
                pass
            case ast.Expr():
                value = self.value(node.value)
                if isinstance(value, Code):
                    self.emit(ast.Expr(value.node), node)
            case ast.Raise():
                raise SpecError("what this model does there is an error")
            case _:
                raise SpecError(f"a {type(node).__name__} can't be rewritten")
        return None

    def on_if(self, node: ast.If) -> Value | None:
        test = self.value(node.test)
        truth = self.truth(test)
        if truth is not None:
            return self.run(node.body if truth else node.orelse)
        if all(isinstance(part, ast.Raise) for part in node.body) and not node.orelse:
            return None  # a check of what is given
        one, two = (self.beside(dict(self.env), self.home) for _ in range(2))
        found = one.run(node.body)
        if two.run(node.orelse) is not None:
            raise SpecError("a branch that returns where a condition fails")
        if found is not None:
            one.lines.append(line(ast.Return(one.code(found))))
            self.emit_if(test, one.lines, [], node)
            self.lines += two.lines
            self.env |= two.env
            return None
        self.merge(one, two)
        if one.lines or two.lines:
            self.emit_if(test, one.lines, two.lines, node)
        return None

    def emit_if(self, test: Value, inside: Any, otherwise: Any, source: ast.stmt) -> None:
        code = self.code(test)
        if not inside:
            inside, otherwise, code = otherwise, [], ast.UnaryOp(ast.Not(), code)
        self.emit(ast.If(code, inside, otherwise), source)

    def merge(self, one: Walk, two: Walk) -> None:
        """After a choice made at run time, what differs is in one variable."""
        for key in {**one.env, **two.env}:
            a, b = one.env.get(key), two.env.get(key)
            if a is b or (isinstance(a, Known) and isinstance(b, Known) and a.value is b.value):
                self.env[key] = a  # pyright: ignore[reportArgumentType]  # neither is missing
                continue
            for walk, found in ((one, a), (two, b)):
                if found is not None:
                    walk.rename(key, found)
            optional = any(part.optional or part.is_none for part in (a, b) if part)
            self.env[key] = Code(name(key), optional)

    def rename(self, key: str, value: Value) -> None:
        """A line that gives a value its variable, if it isn't there already."""
        code = self.code(value)
        if not (isinstance(code, ast.Name) and code.id == key):
            self.lines.append(setting(name(key), code))

    def on_for(self, node: ast.For) -> Value | None:
        source = self.value(node.iter)
        items = self.listed(source)
        numbers = items is not None and len(items) > 2 and all(one.is_number for one in items)
        if items is not None and not numbers:
            for item in items:
                self.bind(node.target, item)
                found = self.run(node.body)
                if found is not None:
                    return found
            return None
        for key in stored_names(*node.body):
            held = self.env.get(key)
            if held is not None and not isinstance(held, Closure):
                self.rename(key, held)
                self.env[key] = Code(name(key), held.is_none)
        self.env |= {label: Code(name(label)) for label in names(node.target)}
        walk = self.beside(self.env, self.home)
        if walk.run(node.body) is not None:
            raise SpecError("a loop that returns")
        self.emit(ast.For(node.target, self.code(source), walk.lines, []), node)
        return None

    # Functions.

    def spliced(self, found: Home, env: dict[str, Value]) -> Value:
        """What a function gives, its lines among these; every variable of its own name."""
        walk = Walk(self.scope, env, found, apart=True)
        value = walk.run(found.tree.body)
        if any(isinstance(part, ast.Return) for one in walk.lines for part in ast.walk(one)):
            raise SpecError(f"{found.tree.name} returns in more than one place")
        self.lines += walk.lines
        return NONE if value is None else value

    def function(self, found: Home, env: dict[str, Value], label: str) -> Value:
        """What a function of the library gives: written out, or called where it is more."""
        value = self.written_out(found, env)
        if value is not None:
            return value
        return self.scope.book.function(self, found, env, label)

    def written_out(self, found: Home, env: dict[str, Value]) -> Value | None:
        """What a function that is one expression gives, if it reads no long argument twice."""
        marks: dict[str, ast.expr] = {}
        marked = dict(env)
        for key, value in env.items():
            if isinstance(value, Code) and not simple(value.node):
                mark = f"_{key}_{next(self.scope.book.marks)}"
                marks[mark] = value.node
                marked[key] = Code(name(mark), value.optional)
        walk = self.beside(marked, found)
        value = walk.run(found.tree.body) or NONE
        if walk.lines:
            return None
        parts = (part for node in nodes_of(value) for part in ast.walk(node))
        uses = Counter(part.id for part in parts if isinstance(part, ast.Name))
        return None if any(uses[mark] > 1 for mark in marks) else remade(value, marks)


def nodes_of(value: Value) -> list[ast.expr]:
    """The code in a value."""
    match value:
        case Code() | Known() | Part():
            return [] if value.node is None else [value.node]
        case Many():
            return [node for part in value.items for node in nodes_of(part)]
        case Fields():
            return [node for part in value.items.values() for node in nodes_of(part)]
    return []


def remade(value: Value, marks: dict[str, ast.expr]) -> Value:
    """A value in whose code names stand for other code."""
    match value:
        case Code():
            return Code(substituted(value.node, marks), value.optional)
        case Known() if value.node is not None:
            return Known(value.value, substituted(value.node, marks), value.hint)
        case Many():
            return Many([remade(part, marks) for part in value.items], value.kind)
        case Fields():
            items = {key: remade(part, marks) for key, part in value.items.items()}
            return Fields(items, value.kind)
    return value
