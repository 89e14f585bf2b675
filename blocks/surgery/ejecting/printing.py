"""Code as a formatter would print it: 100 columns, comments kept at the ends of lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

__all__: list[str] = []

WIDTH = 100
BINARY: dict[type[ast.AST], tuple[str, int]] = {
    ast.Add: ("+", 12), ast.Sub: ("-", 12), ast.Mult: ("*", 13), ast.MatMult: ("@", 13),
    ast.Div: ("/", 13), ast.Mod: ("%", 13), ast.FloorDiv: ("//", 13), ast.Pow: ("**", 15),
    ast.LShift: ("<<", 11), ast.RShift: (">>", 11), ast.BitAnd: ("&", 10),
    ast.BitXor: ("^", 9), ast.BitOr: ("|", 8),
}  # fmt: skip
COMPARED: dict[type[ast.AST], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
UNARY: dict[type[ast.AST], str] = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~"}


def text(node: Any, least: int = 0) -> str:
    """An expression in one line, in brackets where it binds less than `least`."""
    shown, binds = _text(node)
    return f"({shown})" if binds < least else shown


def _text(node: Any) -> tuple[str, int]:
    match node:
        case ast.Name():
            return node.id, 20
        case ast.Constant(value=str() as value):
            return _quoted(value), 20
        case ast.Constant():
            shown = "..." if node.value is ... else repr(node.value)
            return shown.replace("e+", "e"), 20
        case ast.Attribute():
            base = text(node.value, 18)
            whole = isinstance(node.value, ast.Constant) and isinstance(node.value.value, int)
            return f"({base}).{node.attr}" if whole else f"{base}.{node.attr}", 18
        case ast.Call():
            return f"{text(node.func, 18)}({', '.join(arguments(node))})", 18
        case ast.Subscript():
            return f"{text(node.value, 18)}[{_index(node.slice)}]", 18
        case ast.BinOp():
            sign, binds = BINARY[type(node.op)]
            if isinstance(node.op, ast.Pow):
                left, right = text(node.left, 16), text(node.right, 14)
                space = "" if _short(node.left) and _short(node.right) else " "
                return f"{left}{space}**{space}{right}", binds
            return f"{text(node.left, binds)} {sign} {text(node.right, binds + 1)}", binds
        case ast.UnaryOp(op=ast.Not()):
            return f"not {text(node.operand, 6)}", 6
        case ast.UnaryOp():
            return f"{UNARY[type(node.op)]}{text(node.operand, 14)}", 14
        case ast.BoolOp():
            sign, binds = ("and", 5) if isinstance(node.op, ast.And) else ("or", 4)
            return f" {sign} ".join(text(part, binds + 1) for part in node.values), binds
        case ast.Compare():
            pairs = zip(node.ops, node.comparators, strict=True)
            rest = "".join(f" {COMPARED[type(op)]} {text(part, 8)}" for op, part in pairs)
            return f"{text(node.left, 8)}{rest}", 7
        case ast.IfExp():
            shown = f"{text(node.body, 4)} if {text(node.test, 4)} else {text(node.orelse, 3)}"
            return shown, 3
        case ast.Tuple():
            inner = ", ".join(text(part, 1) for part in node.elts)
            return f"({inner},)" if len(node.elts) == 1 else f"({inner})", 20
        case ast.List():
            return f"[{', '.join(text(part, 1) for part in node.elts)}]", 20
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            return "{" + ", ".join(f"{text(k)}: {text(v, 1)}" for k, v in pairs) + "}", 20
        case ast.Starred():
            return f"*{text(node.value, 8)}", 1
        case ast.ListComp():
            return f"[{text(node.elt, 1)}{''.join(_generators(node))}]", 20
        case ast.GeneratorExp():
            return f"({text(node.elt, 1)}{''.join(_generators(node))})", 20
        case ast.Slice():
            return _slice(node), 1
        case ast.keyword():
            return f"{node.arg}={text(node.value, 1)}", 20
    raise TypeError(type(node).__name__)


def arguments(node: ast.Call) -> list[str]:
    if len(node.args) == 1 and not node.keywords and isinstance(node.args[0], ast.GeneratorExp):
        return [text(node.args[0])[1:-1]]
    return [text(part, 1) for part in [*node.args, *node.keywords]]


def _generators(node: ast.ListComp | ast.GeneratorExp) -> Iterator[str]:
    for each in node.generators:
        ifs = "".join(f" if {text(test, 4)}" for test in each.ifs)
        yield f" for {bare(each.target)} in {text(each.iter, 4)}{ifs}"


def bare(node: ast.expr) -> str:
    """A tuple without its brackets, as targets and returned values are written."""
    if isinstance(node, ast.Tuple) and len(node.elts) > 1:
        return text(node)[1:-1]
    return text(node)


def _index(node: ast.expr) -> str:
    return bare(node) if not isinstance(node, ast.Tuple) or len(node.elts) > 1 else text(node)


def _slice(node: ast.Slice) -> str:
    parts = [node.lower, node.upper]
    short = all(part is None or _short(part) for part in [*parts, node.step])
    low, high = ("" if part is None else text(part, 3) for part in parts)
    if not short:
        low, high = low and f"{low} ", high and f" {high}"
    step = "" if node.step is None else f":{text(node.step)}"
    return f"{low}:{high}{step}"


def _short(node: ast.expr) -> bool:
    """What a formatter joins with ** and : without spaces."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name | ast.Constant)


def _quoted(value: str) -> str:
    shown = repr(value)
    return shown if '"' in value else f'"{shown[1:-1]}"'


# Statements.


def block(body: list[Any], indent: int) -> list[str]:
    """The lines of statements."""
    return [row for node in body for row in statement(node, indent)]


def statement(node: Any, indent: int) -> list[str]:
    pad, head, value, end = " " * indent, "", getattr(node, "value", None), node.end
    above = [f"{pad}{comment}" for comment in node.above]
    match node:
        case ast.Pass():
            return [f"{pad}pass"]
        case ast.If():
            lines = above + commented(f"{pad}if {text(node.test)}:", end, indent)
            lines += block(node.body, indent + 4)
            return lines + ([f"{pad}else:", *block(node.orelse, indent + 4)] if node.orelse else [])
        case ast.For():
            rows = fitted(f"for {bare(node.target)} in ", node.iter, indent, end, ":")
            return above + rows + block(node.body, indent + 4)
        case ast.Assign():
            head = "".join(f"{bare(target)} = " for target in node.targets)
        case ast.Return():
            head = "return "
    return above + fitted(head, value, indent, end)


def commented(shown: str, end: str, indent: int) -> list[str]:
    """A line with its comment, which stands above where the line would be too long."""
    if not end:
        return [shown]
    if len(shown) + 2 + len(end) <= WIDTH:
        return [f"{shown}  {end}"]
    return [" " * indent + end, shown]


def fitted(head: str, node: Any, indent: int, end: str = "", close: str = "") -> list[str]:
    """`head` and an expression, over several lines where one is too short."""
    pad = " " * indent
    tail = (bare(node) if head.endswith(("= ", "return ", "in ")) else text(node)) + close
    if len(pad + head + tail) <= WIDTH:
        return commented(f"{pad}{head}{tail}", end, indent)
    return [*([pad + end] if end else []), *split(head, node, indent, close)]


def split(head: str, node: Any, indent: int, close: str) -> list[str]:
    """`head` and an expression for which one line is too short."""
    pad, deep = " " * indent, " " * (indent + 4)
    match node:
        case ast.Call():
            opened, closed = f"{text(node.func, 18)}(", ")"
            inner = arguments(node)
        case ast.Tuple() | ast.List():
            opened, closed = "()" if isinstance(node, ast.Tuple) else "[]"
            inner = [text(part, 1) for part in node.elts]
        case ast.Dict():
            opened, closed = "{}"
            pairs = zip(node.keys, node.values, strict=True)
            inner = [f"{text(key)}: {text(part, 1)}" for key, part in pairs]
        case ast.BinOp(right=ast.BinOp()):
            sign, binds = BINARY[type(node.op)]
            rows = broken(node.right, indent + 4)
            return [f"{pad}{head}{text(node.left, binds)} {sign} (", *rows, f"{pad})"]
        case ast.IfExp() | ast.BinOp() | ast.BoolOp() | ast.Compare():
            return [f"{pad}{head}(", *broken(node, indent + 4), f"{pad})"]
        case _:
            return [f"{pad}{head}{text(node)}{close}"]
    rows = [f"{deep}{part}," for part in inner]
    if isinstance(node, ast.Call):
        joined = deep + ", ".join(inner)
        if len(joined) <= WIDTH:
            rows = [joined]
        elif len(inner) == 1:
            rows = fitted("", node.args[0], indent + 4)
    return [f"{pad}{head}{opened}", *rows, f"{pad}{closed}{close}"]


def broken(node: Any, indent: int) -> list[str]:
    """The parts of an expression in brackets, a line each where they must be."""
    pad = " " * indent
    whole = text(node)
    if len(pad + whole) <= WIDTH:
        return [pad + whole]
    if isinstance(node, ast.IfExp):
        parts = [text(node.body, 4), f"if {text(node.test, 4)}", f"else {text(node.orelse, 3)}"]
        return [pad + part for part in parts]
    if isinstance(node, ast.BinOp):
        binds = BINARY[type(node.op)][1]
        parts, at = [], node
        while isinstance(at, ast.BinOp) and BINARY[type(at.op)][1] == binds:
            parts.append(f"{BINARY[type(at.op)][0]} {text(at.right, binds + 1)}")
            at = at.left
        return [pad + part for part in [text(at, binds), *parts[::-1]]]
    return [pad + whole]


def definition(node: Any, indent: int) -> list[str]:
    pad = " " * indent
    args = [_argument(arg) for arg in node.args.args]
    given = node.args.defaults
    for i, default in enumerate(given, start=len(args) - len(given)):
        args[i] += f" = {text(default)}"
    gives = "" if node.returns is None else f" -> {text(node.returns)}"
    head = f"{pad}def {node.name}({', '.join(args)}){gives}:"
    if len(head) > WIDTH:
        joined = ", ".join(args)
        inner = [f"{pad}    {joined}"]
        if len(inner[0]) > WIDTH:
            inner = [f"{pad}    {arg}," for arg in args]
        head = "\n".join([f"{pad}def {node.name}(", *inner, f"{pad}){gives}:"])
    doc = documented(getattr(node, "doc", None), indent + 4)
    return [*head.split("\n"), *doc, *block(node.body, indent + 4)]


def _argument(arg: ast.arg) -> str:
    return arg.arg if arg.annotation is None else f"{arg.arg}: {text(arg.annotation)}"


def class_definition(node: Any) -> list[str]:
    doc = documented(node.doc, 4)
    lines = [f"class {node.name}(nn.Module):", *doc]
    for i, part in enumerate(node.body):
        lines += [*([""] if i or doc else []), *definition(part, 4)]
    return lines


def documented(doc: str | None, indent: int) -> list[str]:
    """A docstring."""
    if not doc:
        return []
    pad, raw = " " * indent, "r" if "\\" in doc else ""
    quotes = '"' * 3
    lines = doc.split("\n")
    if len(lines) == 1 and len(pad) + len(doc) + 6 + len(raw) <= WIDTH:
        return [f"{pad}{raw}{quotes}{doc}{quotes}"]
    if len(lines) == 1:  # the closing quotes may not stand alone
        cut = doc.rfind(" ", 0, WIDTH - indent - 4)
        lines = [doc[:cut].rstrip(), doc[cut:].lstrip()]
    rest = [f"{pad}{one}".rstrip() for one in lines[1:]]
    return [f"{pad}{raw}{quotes}{lines[0]}", *rest, f"{pad}{quotes}"]
