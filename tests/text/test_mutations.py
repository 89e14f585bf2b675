"""Mutated templates: each ends in an error or in the text that the reference makes of it."""

from __future__ import annotations

import random
import re
from functools import partial

import pytest

from tests.clock import soon
from tests.text.corpus import CONVERSATIONS, TEMPLATES, TOOLS
from tests.text.twins import ours, theirs

NAMES = sorted(CONVERSATIONS)
PARTS = re.compile(r"\w+|\s+|[{(\[]?%[-+]?|.", re.DOTALL)
WORDS = (
    *(
        "messages",
        "loop",
        "m",
        "ns",
        "tools",
        "none",
        "true",
        "0",
        "1",
        "-1",
        "'a'",
        "''",
        "[]",
        "{}",
    ),
    *(
        "first",
        "last",
        "index0",
        "role",
        "content",
        "items",
        "keys",
        "upper",
        "join",
        "split",
        "get",
    ),
    *("|", ".", ",", "~", "+", "-", "*", "%", "/", "//", "**", "==", "!=", "<", "(", ")", "[", "]"),
    *("is", "not", "in", "and", "or", "if", "else", "for", "set", "endif", "endfor", "endset"),
    *("{{", "}}", "{%", "%}", "{#", "#}", ":", "::-1", "|list", "|length", "|tojson", "|trim"),
    *(
        "break",
        "continue",
        "macro",
        "call",
        "with",
        "filter",
        "namespace()",
        "range(3)",
        "2.5",
        "{{-",
    ),
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


SEEDS = [
    *range(0, 500, 100),
    *(pytest.param(n, marks=pytest.mark.slow) for n in (1000, 2000, 3000)),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_mutants_end_as_with_the_reference(seed: int) -> None:
    texts = 0
    for one in range(seed, seed + (1_000 if seed >= 1_000 else 100)):
        template, messages = mutant(one), CONVERSATIONS[NAMES[one % len(NAMES)]]
        text = soon(1, partial(ours, template, messages, tools=TOOLS))
        wanted = theirs(template, messages, tools=TOOLS)
        assert text == wanted or " at 0x" in (wanted or ""), one
        texts += text is not None
    assert texts > 5
