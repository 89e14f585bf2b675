"""The page of the reference's causal language models says what the library does."""

from __future__ import annotations

import json
import re

from causal_types import FILE, PLAIN, WHY
from index import ROOT
from pages import causal_types_page

from blocks.families import model_types

LISTED = json.loads(FILE.read_text(encoding="utf-8"))["unless_supported"]


def test_each_type_is_a_family_or_says_why_not() -> None:
    page = (ROOT / "docs" / "causal-types.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `(.+?)` \| (.+) \|$", page, re.MULTILINE))
    assert list(said) == sorted(LISTED)
    assert {name for name, what in said.items() if what.startswith("[yes]")} == (
        set(LISTED) & set(model_types())
    )
    for name, what in said.items():
        assert what.startswith("[yes](families/") or what == f"no: {LISTED[name]}"


def test_the_reasons_are_those_of_the_table() -> None:
    assert {name: WHY.get(name, PLAIN) for name in LISTED} == LISTED


def test_a_type_that_becomes_a_family_needs_no_edit() -> None:
    assert "| `mamba` | no: " in causal_types_page(FILE, [])
    assert "| `mamba` | [yes](families/mamba.md) |" in causal_types_page(FILE, ["mamba"])
