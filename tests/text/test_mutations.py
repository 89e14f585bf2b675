"""Mutated templates: each ends in a text or a TokenizerError, and where Jinja gives a text, in that."""

from __future__ import annotations

import random
import re
import time
from typing import Any

import pytest

from blocks.errors import TokenizerError
from blocks.text.template import conversation, render
from tests.text.corpus import CONVERSATIONS, TEMPLATES, TOOLS, VARIABLES
from tests.text.test_template import reference

PARTS = re.compile(r"\w+|\s+|[{(\[]?%[-+]?|.", re.DOTALL)
WORDS = (
    *("messages", "loop", "m", "ns", "tools", "none", "true", "0", "1", "-1", "'a'", "''", "[]", "{}"),
    *("first", "last", "index0", "role", "content", "items", "keys", "upper", "join", "split", "get"),
    *("|", ".", ",", "~", "+", "-", "*", "%", "/", "//", "**", "==", "!=", "<", "(", ")", "[", "]"),
    *("is", "not", "in", "and", "or", "if", "else", "for", "set", "endif", "endfor", "endset"),
    *("{{", "}}", "{%", "%}", "{#", "#}", ":", "::-1", "|list", "|length", "|tojson", "|trim"),
    *("break", "continue", "macro", "call", "with", "filter", "namespace()", "range(3)", "2.5", "{{-"),
)


def mutant(seed: int) -> str:
    """A template of the corpus with one to three of its parts lost, doubled, moved or replaced."""
    choose = random.Random(seed)
    parts = PARTS.findall(TEMPLATES[choose.choice(sorted(TEMPLATES))])
    for _ in range(choose.randint(1, 3)):
        at, other = choose.randrange(len(parts)), choose.randrange(len(parts))
        match choose.randrange(6):
            case 0:
                parts[at] = ""
            case 1:
                parts[at] *= 2
            case 2:
                parts[at], parts[other] = parts[other], parts[at]
            case 3:
                parts[at] = choose.choice(WORDS)
            case 4:
                parts.insert(at, choose.choice(WORDS))
            case _:
                parts[at] = parts[other]
    return "".join(parts)


def ours(template: str, messages: list[dict[str, Any]]) -> str | None:
    given: dict[str, Any] = {"tools": TOOLS, "documents": None, **VARIABLES}
    try:
        return render(template, {"messages": conversation(messages), **given})
    except TokenizerError as error:
        assert error.field == "chat template"
        return None
