"""Statements of the library's code, walked through for one module of one model."""

from __future__ import annotations

import ast
from typing import Any

from torch import Tensor, nn

from blocks.surgery.ejecting.calls import Calls, snake
from blocks.surgery.ejecting.machinery import Machinery
from blocks.surgery.ejecting.refusal import Refusal
from blocks.surgery.ejecting.source import Home, method
from blocks.surgery.ejecting.values import (
    Closure,
    Code,
    Fields,
    Known,
    Made,
    Many,
    Memory,
    Now,
    Part,
    Slot,
    Value,
    calling,
    dotted,
    name,
    names,
    plain,
    substituted,
)

__all__: list[str] = []

WORDS = {"Tensor", "int", "float", "bool", "str", "tuple", "list", "dict", "None", "nn", "torch"}


def line(node: Any, end: str = "", above: tuple[str, ...] = ()) -> ast.stmt:
    """A statement that stays, with its comments."""
    node.end, node.above = end, above
    return node


class Walk(Machinery, Calls):
    """One walk through one function: names and what they are, and the lines that stay."""

    def __init__(self, scope: Any, env: dict[str, Value], home: Any, apart: bool = False):
        self.scope, self.env, self.home = scope, env, home
        self.apart = apart  # whether every assignment gets a name of its own
        self.lines: list[ast.stmt] = []
        self.stored = _stored(home.tree) if home is not None else {}
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
                raise Refusal("what this model does there is an error")
            case _:
                raise Refusal(f"a {type(node).__name__} can't be rewritten")
        return None

    def on_with(self, node: ast.With) -> tuple[str, Value] | None:
        given = node.items[0].context_expr
        if ast.unparse(given) != "torch.no_grad()":
            raise Refusal("a with statement can't be rewritten")
        return self.run_ended(node.body)

    def emit(self, node: ast.stmt, source: ast.stmt | None = None) -> None:
        end, above = "", []
        if source is not None:
            last = source.end_lineno if not isinstance(source, ast.If | ast.For) else source.lineno
            end = self.home.comments.get(last, "") or self.home.comments.get(source.lineno, "")
            above = self.home.above.get(source.lineno, [])
        self.lines.append(line(node, end, tuple(above)))

    def on_if(self, node: ast.If, rest: list[ast.stmt]) -> tuple[str, Value] | None:
        test = self.value(node.test)
        truth = self.truth(test)
        if truth is not None:
            return self.run_ended(node.body if truth else node.orelse)
        if not any(isinstance(part, ast.Return) for part in ast.walk(node)):
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
            raise Refusal("a branch that returns only where a condition fails")
        if inside or otherwise:
            self.emit_if(test, inside, otherwise, node)
        return None

    def run_ended(self, body: list[ast.stmt]) -> tuple[str, Value] | None:
        kind, value = self.run(body)
        return None if kind == "fall" else (kind, value)

    def branch(self, body: list[ast.stmt]) -> str:
        try:
            kind, value = self.run(body)
        except Refusal:
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

    def merge(self, before: Any, one: Any, two: Any, first: list[ast.stmt], second: list[ast.stmt]) -> None:
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
        for key in _stored_in(node.body):
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
            raise Refusal("a loop that returns")
        inside, self.lines = self.lines, lines
        self.emit(ast.For(node.target, self.code(source), inside, []), node)
        return None

    def unzipped(self, value: Value, count: int) -> Value:
        """A value of so many parts, each by its place."""
        if not isinstance(value, Code):
            return value
        node = value.node
        if not _simple(node):
            label = self.scope.unique("parts")
            self.lines.append(line(ast.Assign([name(label)], node)))
            node = name(label)
        return Many([Code(ast.Subscript(node, ast.Constant(i))) for i in range(count)])

    def kept_loop(self, node: ast.For, items: list[Value]) -> bool:
        """Whether a loop over numbers reads better as a loop."""
        return len(items) > 2 and all(isinstance(part, Known) and plain(part.value) for part in items)

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
        raise Refusal("an attribute that is added to")

    # Assignments.

    def bind(self, target: ast.expr, value: Value) -> None:
        """Gives a target a value that needs no line."""
        if isinstance(target, ast.Name):
            self.env[target.id] = value
            return
        if isinstance(target, ast.Tuple | ast.List):
            items = self.listed(value)
            if isinstance(value, Code) and _simple(value.node):
                count = range(len(target.elts))
                items = [Code(ast.Subscript(value.node, ast.Constant(i))) for i in count]
            if items is None:
                raise Refusal("unknown parts")
            for one, part in zip(target.elts, items, strict=True):
                self.bind(one, part)
            return
        raise Refusal(f"{ast.unparse(target)} is bound in a loop")

    def assign(self, target: ast.expr, value: Value, source: ast.stmt) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            self.assign_all(target.elts, value, source)
        elif isinstance(target, ast.Name):
            self.assign_name(target.id, value, source)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value)
            if isinstance(owner, Slot):
                self.scope.info.took(self, owner, target.attr, value, source)
            elif isinstance(owner, Memory):
                key = self.code(Known(target.attr))
                self.emit(ast.Assign([ast.Subscript(owner.node, key)], self.code(value)), source)
            elif isinstance(owner, Fields):
                if isinstance(value, Code) and not _simple(value.node):
                    label = self.scope.unique(target.attr)
                    self.emit(ast.Assign([name(label)], value.node), source)
                    value = Code(name(label), value.optional)
                owner.items[target.attr] = value
            else:
                raise Refusal(f"{ast.unparse(target)} is assigned")
        elif isinstance(target, ast.Subscript):
            owner = self.value(target.value)
            if isinstance(owner, Fields):
                key = self.value(target.slice)
                owner.items[key.value] = value  # pyright: ignore[reportAttributeAccessIssue]
                return
            place: Any = ast.Subscript(self.code(owner), self.place(target.slice))
            self.emit(ast.Assign([place], self.code(value)), source)
        else:
            raise Refusal(f"{ast.unparse(target)} is assigned")

    def assign_all(self, targets: list[ast.expr], value: Value, source: ast.stmt) -> None:
        items = self.listed(value)
        if items is None:
            nodes = []
            for one in targets:
                inner = one.value if isinstance(one, ast.Starred) else one
                if isinstance(inner, ast.Attribute):
                    owner = self.value(inner.value)
                    if isinstance(owner, Fields):
                        label = name(self.scope.unique(inner.attr))
                        owner.items[inner.attr] = Code(label)
                        nodes.append(label)
                        continue
                    if isinstance(owner, Memory):
                        nodes.append(ast.Subscript(owner.node, ast.Constant(inner.attr)))
                        continue
                if isinstance(inner, ast.Tuple):
                    places = [self.value(part.value) for part in inner.elts if isinstance(part, ast.Attribute)]
                    if len(places) == len(inner.elts) and all(isinstance(p, Memory) for p in places):
                        keys = [part.attr for part in inner.elts if isinstance(part, ast.Attribute)]
                        nodes.append(ast.Tuple([ast.Subscript(p.node, ast.Constant(k)) for p, k in zip(places, keys, strict=True)]))  # pyright: ignore
                        continue
                if not isinstance(inner, ast.Name):
                    raise Refusal(f"{ast.unparse(one)} is unpacked into")
                fresh = name(self.fresh(inner.id))
                self.env[inner.id] = Code(fresh)
                nodes.append(ast.Starred(fresh) if isinstance(one, ast.Starred) else fresh)
            self.emit(ast.Assign([ast.Tuple(nodes)], self.code(value)), source)
            return
        starred = [i for i, one in enumerate(targets) if isinstance(one, ast.Starred)]
        if starred:
            at, more = starred[0], len(items) - len(targets) + 1
            items = [*items[:at], Many(items[at : at + more]), *items[at + more :]]
            targets = [one.value if isinstance(one, ast.Starred) else one for one in targets]
        kept = []
        for one, part in zip(targets, items, strict=True):
            simple = isinstance(one, ast.Name) and self.needs_line(one.id, part)
            if simple:
                kept.append((one.id, part))  # pyright: ignore[reportAttributeAccessIssue]
            else:
                self.assign(one, part, source)
        codes = [(key, self.code(part), part) for key, part in kept]
        early = set()
        for i, (_key, _code, _) in enumerate(codes):
            early |= {key for key, _, _ in codes[:i]} & names(codes[i][1])
        if early and not self.apart:
            target: Any = ast.Tuple([name(key) for key, _, _ in codes])
            self.emit(ast.Assign([target], ast.Tuple([code for _, code, _ in codes])), source)
            for key, _, part in codes:
                self.env[key] = Code(name(key), isinstance(part, Code) and part.optional)
            return
        for key, code, part in codes:
            self.emit_name(key, code, part, source)

    def needs_line(self, key: str, value: Value) -> bool:
        """Whether a variable stays one, rather than another word for its value."""
        if isinstance(value, Known):
            if value.node is None or isinstance(value.node, ast.Name | ast.Attribute | ast.Constant):
                return False
            return plain(value.value)
        if not isinstance(value, Code):
            return False
        node = value.node
        if isinstance(node, ast.Name):
            again = self.stored.get(node.id, 0) + (node.id in self.asked)
            return node.id != key and again > 1 and not self.apart
        return not _simple(node)

    def assign_name(self, key: str, value: Value, source: ast.stmt) -> None:
        if isinstance(value, Many) and self.read_again(key):
            items = []
            for part in value.items:
                if isinstance(part, Code) and not _simple(part.node):
                    label = self.scope.unique(f"{key}_1")
                    self.emit(ast.Assign([name(label)], part.node), source)
                    part = Code(name(label), part.optional)
                items.append(part)
            value = Many(items, value.kind)
        if self.needs_line(key, value):
            self.emit_name(key, self.code(value), value, source)
        else:
            self.env[key] = value

    def read_again(self, key: str) -> bool:
        """Whether a variable is read in more than one place."""
        loads = (
            isinstance(part, ast.Name) and part.id == key and isinstance(part.ctx, ast.Load)
            for part in ast.walk(self.home.tree)
        )
        return sum(loads) > 1

    def emit_name(self, key: str, code: ast.expr, value: Value, source: ast.stmt) -> None:
        label = self.fresh(key)
        self.emit(ast.Assign([name(label)], code), source)
        if isinstance(value, Known):
            self.env[key] = Known(value.value, name(label))
        else:
            self.env[key] = Code(name(label), isinstance(value, Code) and value.optional)

    def fresh(self, key: str) -> str:
        if not self.apart:
            return key
        return self.scope.unique(key)

    # Functions.

    def spliced(self, found: Home, env: dict[str, Value]) -> Value:
        """What a function gives, its lines among these; every variable of its own name."""
        walk = Walk(self.scope, env, found, apart=True)
        kind, value = walk.run(found.tree.body)
        if kind == "returned":
            raise Refusal(f"{found.tree.name} returns in more than one place")
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
            if isinstance(value, Code) and not _simple(value.node):
                mark = f"_{key}_{len(marks)}_{self.scope.book.count()}"
                marks[mark] = value.node
                marked[key] = Code(name(mark), value.optional)
        walk = Walk(self.scope, marked, found, self.apart)
        kind, value = walk.run(found.tree.body)
        if kind == "returned" or walk.lines:
            return None
        uses: dict[str, int] = dict.fromkeys(marks, 0)
        for node in _nodes(value):
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and part.id in uses:
                    uses[part.id] += 1
        if any(count > 1 for count in uses.values()):
            return None
        return _mapped(value, marks)


def _simple(node: ast.expr) -> bool:
    """Whether code may stand in several places."""
    if isinstance(node, ast.Attribute):
        return _simple(node.value)
    return isinstance(node, ast.Name | ast.Constant)


def _stored(tree: ast.AST) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in ast.walk(tree):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found[part.id] = found.get(part.id, 0) + 1
    return found


def _stored_in(body: list[ast.stmt]) -> list[str]:
    return [key for statement in body for key in _stored(statement)]


def _nodes(value: Value) -> list[ast.expr]:
    if isinstance(value, Code):
        return [value.node]
    if isinstance(value, Known):
        return [] if value.node is None else [value.node]
    if isinstance(value, Many):
        return [node for part in value.items for node in _nodes(part)]
    if isinstance(value, Fields):
        return [node for part in value.items.values() for node in _nodes(part)]
    if isinstance(value, Part):
        return [] if value.node is None else [value.node]
    return []


def _mapped(value: Value, marks: dict[str, ast.expr]) -> Value:
    if isinstance(value, Code):
        return Code(substituted(value.node, marks), value.optional)
    if isinstance(value, Known) and value.node is not None:
        return Known(value.value, substituted(value.node, marks), value.hint)
    if isinstance(value, Many):
        return Many([_mapped(part, marks) for part in value.items], value.kind)
    if isinstance(value, Fields):
        return Fields({key: _mapped(part, marks) for key, part in value.items.items()}, value.kind)
    if isinstance(value, Closure):
        return Closure(value.node, {k: _mapped(v, marks) for k, v in value.env.items()}, value.home)
    return value


_ = (Tensor, nn, snake, method, Made, Now, calling, dotted)
