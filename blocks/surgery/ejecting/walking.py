"""Statements of the library's code, walked through for one module of one model."""

from __future__ import annotations

import ast
from typing import Any

from blocks.errors import SpecError
from blocks.surgery.ejecting.assigning import (
    Assigning,
    line,
    nodes_of,
    remade,
    simple,
    stored_in,
    stored_names,
)
from blocks.surgery.ejecting.source import Home
from blocks.surgery.ejecting.values import (
    Closure,
    Code,
    Known,
    Value,
    name,
    plain,
)

__all__: list[str] = []

WORDS = {"Tensor", "int", "float", "bool", "str", "tuple", "list", "dict", "None", "nn", "torch"}


class Walk(Assigning):
    """One walk through one function: names and what they are, and the lines that stay."""

    def __init__(self, scope: Any, env: dict[str, Value], home: Any, apart: bool = False):
        self.scope, self.env, self.home = scope, env, home
        self.apart = apart  # whether every assignment gets a name of its own
        self.lines: list[ast.stmt] = []
        self.stored = stored_names(home.tree) if home is not None else {}
        self.asked = {arg.arg for arg in home.params} if home is not None else set()

    def beside(self, env: dict[str, Value], home: Any) -> Walk:
        return Walk(self.scope, env, home, self.apart)

    # Statements.

    def run(self, body: list[ast.stmt]) -> tuple[str, Value]:
        """Walks through statements: how they end (`fall`, `return`, `returned`), and with what."""
        for i, statement in enumerate(body):
            if isinstance(statement, ast.If):
                ended = self.on_if(statement, body[i + 1 :])
            else:
                ended = self.step(statement)
            if ended is not None:
                return ended
        return "fall", Known(None)

    def step(self, node: ast.stmt) -> tuple[str, Value] | None:
        match node:
            case ast.Return():
                return "return", Known(None) if node.value is None else self.value(node.value)
            case ast.Assign():
                value = self.value(node.value)
                for target in node.targets:
                    self.assign(target, value, node)
            case ast.AnnAssign() if node.value is not None:
                self.assign(node.target, self.value(node.value), node)
            case ast.AugAssign():
                self.on_augmented(node)
            case ast.For():
                return self.on_for(node)
            case ast.Expr(value=ast.Constant()):
                return None
            case ast.Expr():
                value = self.value(node.value)
                if isinstance(value, Code):
                    self.emit(ast.Expr(value.node), node)
            case ast.FunctionDef():
                self.env[node.name] = Closure(node, self.env, self.home)
            case ast.Pass() | ast.AnnAssign():
                return None
            case ast.With():
                return self.on_with(node)
            case ast.Raise():
                raise SpecError("what this model does there is an error")
            case _:
                raise SpecError(f"a {type(node).__name__} can't be rewritten")
        return None

    def on_with(self, node: ast.With) -> tuple[str, Value] | None:
        given = node.items[0].context_expr
        if ast.unparse(given) != "torch.no_grad()":
            raise SpecError("a with statement can't be rewritten")
        return self.run_ended(node.body)

    def on_if(self, node: ast.If, rest: list[ast.stmt]) -> tuple[str, Value] | None:
        test = self.value(node.test)
        truth = self.truth(test)
        if truth is not None:
            return self.run_ended(node.body if truth else node.orelse)
        if all(isinstance(part, ast.Raise) for part in node.body) and not node.orelse:
            return None  # a check of what is given
        before = dict(self.env)
        lines, self.lines = self.lines, []
        first = self.branch(node.body)
        inside, after_first, self.lines = self.lines, self.env, []
        self.env = dict(before)
        second = self.branch(node.orelse)
        otherwise, after_second, self.lines = self.lines, self.env, lines
        if first == second == "fall":
            self.merge(before, after_first, after_second, inside, otherwise)
        elif first != "fall" and second != "fall":
            self.emit_if(test, inside, otherwise, node)
            return "returned", Known(None)
        elif first != "fall":
            self.emit_if(test, inside, [], node)
            self.lines += otherwise
            return None
        else:
            raise SpecError("a branch that returns only where a condition fails")
        if inside or otherwise:
            self.emit_if(test, inside, otherwise, node)
        return None

    def run_ended(self, body: list[ast.stmt]) -> tuple[str, Value] | None:
        kind, value = self.run(body)
        return None if kind == "fall" else (kind, value)

    def branch(self, body: list[ast.stmt]) -> str:
        try:
            kind, value = self.run(body)
        except SpecError:
            if any(isinstance(part, ast.Raise) for part in body):
                return "fall"
            raise
        if kind == "return":
            self.lines.append(line(ast.Return(self.code(value))))
        return kind

    def emit_if(self, test: Value, inside: Any, otherwise: Any, source: ast.stmt) -> None:
        code = self.code(test)
        if not inside:
            inside, otherwise, code = otherwise, [], ast.UnaryOp(ast.Not(), code)
        node = ast.If(code, inside, otherwise)
        self.emit(node, source)

    def merge(
        self, before: Any, one: Any, two: Any, first: list[ast.stmt], second: list[ast.stmt]
    ) -> None:
        """After a choice made at run time, what differs is in one variable."""
        for key in {**one, **two}:
            a, b = one.get(key), two.get(key)
            if a is b or (isinstance(a, Known) and isinstance(b, Known) and a.value is b.value):
                self.env[key] = a if a is not None else b
                continue
            for found, lines in ((a, first), (b, second)):
                node = None if found is None else self.code(found)
                if node is not None and not (isinstance(node, ast.Name) and node.id == key):
                    lines.append(line(ast.Assign([name(key)], node)))
            optional = any(
                (isinstance(part, Code) and part.optional)
                or (isinstance(part, Known) and part.value is None)
                for part in (a, b)
            )
            self.env[key] = Code(name(key), optional)

    def on_for(self, node: ast.For) -> tuple[str, Value] | None:
        source = self.value(node.iter)
        items = self.listed(source)
        if items is not None and not self.kept_loop(node, items):
            for item in items:
                self.bind(node.target, item)
                ended = self.run_ended(node.body)
                if ended is not None:
                    return ended
            return None
        for key in stored_in(node.body):
            held = self.env.get(key)
            if held is not None and not isinstance(held, Closure):
                code = self.code(held)
                if not (isinstance(code, ast.Name) and code.id == key):
                    self.lines.append(line(ast.Assign([name(key)], code)))
                self.env[key] = Code(name(key), isinstance(held, Known) and held.value is None)
        for part in ast.walk(node.target):
            if isinstance(part, ast.Name):
                self.env[part.id] = Code(name(part.id))
        lines, self.lines = self.lines, []
        kind, _ = self.run(node.body)
        if kind != "fall":
            raise SpecError("a loop that returns")
        inside, self.lines = self.lines, lines
        self.emit(ast.For(node.target, self.code(source), inside, []), node)
        return None

    def kept_loop(self, node: ast.For, items: list[Value]) -> bool:
        """Whether a loop over numbers reads better as a loop."""
        return len(items) > 2 and all(
            isinstance(part, Known) and plain(part.value) for part in items
        )

    def on_augmented(self, node: ast.AugAssign) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            value = self.joined(node.op, self.value(ast.Name(target.id)), self.value(node.value))
            self.assign(target, value, node)
            return
        if isinstance(target, ast.Subscript):
            left: Any = ast.Subscript(self.code(self.value(target.value)), self.place(target.slice))
            self.emit(ast.AugAssign(left, node.op, self.code(self.value(node.value))), node)
            return
        raise SpecError("an attribute that is added to")

    # Assignments.

    # Functions.

    def spliced(self, found: Home, env: dict[str, Value]) -> Value:
        """What a function gives, its lines among these; every variable of its own name."""
        walk = Walk(self.scope, env, found, apart=True)
        kind, value = walk.run(found.tree.body)
        if kind == "returned":
            raise SpecError(f"{found.tree.name} returns in more than one place")
        self.lines += walk.lines
        return value

    def function(self, found: Home, env: dict[str, Value], label: str) -> Value:
        """What a function of the library gives: written out, or called where it is more."""
        value = self.written_out(found, env)
        if value is not None:
            return value
        return self.scope.book.function(self, found, env, label)

    def written_out(self, found: Home, env: dict[str, Value]) -> Value | None:
        """A function that is one expression, with its arguments in place."""
        marks: dict[str, ast.expr] = {}
        marked = dict(env)
        for key, value in env.items():
            if isinstance(value, Code) and not simple(value.node):
                mark = f"_{key}_{len(marks)}_{self.scope.book.count()}"
                marks[mark] = value.node
                marked[key] = Code(name(mark), value.optional)
        walk = Walk(self.scope, marked, found, self.apart)
        kind, value = walk.run(found.tree.body)
        if kind == "returned" or walk.lines:
            return None
        uses: dict[str, int] = dict.fromkeys(marks, 0)
        for node in nodes_of(value):
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and part.id in uses:
                    uses[part.id] += 1
        if any(count > 1 for count in uses.values()):
            return None
        return remade(value, marks)
