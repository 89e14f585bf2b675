"""The page of the reference's causal language models says what the library does."""

from __future__ import annotations

import json
import re

from causal_types import FILE, PLAIN, WHY, otherwise
from index import ROOT
from pages import causal_types_page
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from blocks.families import model_types

DATA = json.loads(FILE.read_text(encoding="utf-8"))
LISTED, OTHERWISE = DATA["unless_supported"], set(DATA["supported_otherwise"])


def test_each_type_is_a_family_or_says_why_not() -> None:
    page = (ROOT / "docs" / "causal-types.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| `(.+?)` \| (.+) \|$", page, re.MULTILINE))
    assert list(said) == sorted(LISTED)
    assert {name for name, what in said.items() if what.startswith("[yes]")} == (
        set(LISTED) & set(model_types()) - OTHERWISE
    )
    for name, what in said.items():
        family = f", which has [a family](families/{name.replace('-', '_')}.md)"
        no = f"no: {LISTED[name]}{family if name in OTHERWISE else ''}"
        assert what.startswith("[yes](families/") or what == no


def test_an_encoder_is_no_causal_language_model() -> None:
    assert otherwise(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) == sorted(OTHERWISE)
    assert "bert" in OTHERWISE and "llama" not in OTHERWISE


def test_the_reasons_are_those_of_the_table() -> None:
    assert {name: WHY.get(name, PLAIN) for name in LISTED} == LISTED


def test_a_type_that_becomes_a_family_needs_no_edit() -> None:
    assert "| `mamba` | no: " in causal_types_page(FILE, [])
    assert "| `mamba` | [yes](families/mamba.md) |" in causal_types_page(FILE, ["mamba"])
