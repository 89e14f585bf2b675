"""Lets the builders of the docs read our docstrings as they are written.

They know the sections `Example:` and `Errors:` by other names, and one argument a line. A function
that is decorated `@alike(other)` has the arguments of the other one.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Function, Object

THEIRS = {"Example": "Examples", "Errors": "Raises"}
SECTION = re.compile(r"^( *)(Example|Errors):$", re.MULTILINE)
ALIKE = re.compile(r"alike\((\w+)\)")
SHARED = re.compile(r"^( +)(\w+(?:, \w+)+): (.+)$", re.MULTILINE)  # "top_k, top_p: as in Sampler."


def translated(text: str) -> str:
    text = SECTION.sub(lambda found: f"{found[1]}{THEIRS[found[2]]}:", text)
    if "Args:" not in text:
        return text
    return SHARED.sub(
        lambda found: "\n".join(f"{found[1]}{name}: {found[3]}" for name in found[2].split(", ")),
        text,
    )


class Docstrings(Extension):
    def on_instance(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = translated(obj.docstring.value)
        for decorator in obj.decorators if isinstance(obj, Function) else ():
            if (found := ALIKE.fullmatch(str(decorator.value))) and obj.parent is not None:
                obj.parameters = obj.parent[found[1]].parameters
