"""The source of a function: its tree, and the comments that stand at the ends of its lines."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

__all__: list[str] = []


@dataclass(frozen=True, eq=False)
class Home:
    """A function as it is written.

    Attributes:
        tree: its definition.
        comments: by the line a comment stands at the end of.
        above: by line, the comments that stand before it on lines of their own.
        names: what its module knows.
        kind: the class it belongs to.
    """

    tree: ast.FunctionDef
    comments: dict[int, str]
    above: dict[int, list[str]]
    names: dict[str, Any]
    kind: type[Any] | None

    @property
    def params(self) -> list[ast.arg]:
        args = self.tree.args
        return [*args.posonlyargs, *args.args, *args.kwonlyargs]


@cache
def home(function: Callable[..., Any], kind: type[Any] | None = None) -> Home:
    text = textwrap.dedent(inspect.getsource(function))
    tree: Any = ast.parse(text).body[0]
    ends, above, waiting = {}, {}, []
    code = False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if code:
                first = token.string.split("  # ")[0]
                ends[token.start[0]] = "" if _told(first) else first
            else:
                waiting.append(token.string)
        elif token.type in (tokenize.NEWLINE, tokenize.NL):
            code = False
        elif token.type not in (tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            if waiting:
                above[token.start[0]], waiting = waiting, []
            code = True
    return Home(
        tree, {k: v for k, v in ends.items() if v}, above, vars(inspect.getmodule(function)), kind
    )


def _told(comment: str) -> bool:
    """Whether a comment is for a checker."""
    return any(word in comment for word in ("pyright:", "noqa", "type: ignore", "frozen"))


def method(kind: type[Any], name: str) -> Home | None:
    """A class's method as written, in whichever of its bases that is."""
    for base in kind.__mro__:
        if name in vars(base):
            found = vars(base)[name]
            if isinstance(found, staticmethod | classmethod):
                found = found.__func__
            if isinstance(found, property):
                found = found.fget
            return home(found, base) if inspect.isfunction(found) else None
    return None
