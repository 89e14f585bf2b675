"""The resolved Spec of one config a family, as text: no default changes unseen.

BLOCKS_FREEZE=1 pytest tests/families/test_frozen.py writes the texts anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import blocks
from tests.families.reference import families, file_of, first

FROZEN = Path(__file__).parent / "frozen"


@pytest.mark.parametrize("family", families())
def test_the_resolved_spec_is_the_frozen_one(loaded, family):
    spec = blocks.to_json(loaded(family, first(family)).ours.spec)
    file = FROZEN / f"{file_of(family)}.json"
    if os.environ.get("BLOCKS_FREEZE"):
        file.write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
    assert json.loads(file.read_text(encoding="utf-8")) == spec
