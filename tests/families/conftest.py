"""Models that several tests ask, built once a run, and the parity table that a run can write."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
import transformers

from tests.families.reference import Loaded, load

TABLE = "BLOCKS_PARITY"  # the environment variable that names the file to write
_rows: list[dict[str, object]] = []


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Loaded]:
    """The reference and ours of a family's variant, loaded when first asked for."""

    @cache
    def get(family: str, variant: str) -> Loaded:
        name = re.sub(r"\W+", "_", f"{family} {variant}")
        return load(family, variant, tmp_path_factory.mktemp(name))

    return get


@pytest.fixture(scope="session")
def record() -> Callable[[str, str, float], None]:
    """Notes the difference between ours and the reference for the parity table."""

    def note(family: str, variant: str, difference: float) -> None:
        _rows.append(
            {"family": family, "variant": variant, "difference": float(f"{difference:.1e}")}
        )

    return note


def pytest_sessionfinish(session: pytest.Session) -> None:
    """BLOCKS_PARITY=docs/parity.json pytest tests/families/test_parity.py writes the table."""
    file = os.environ.get(TABLE)
    if file and _rows:
        if hasattr(session.config, "workerinput"):
            raise pytest.UsageError(f"{TABLE} wants one process: run without -n")
        table = sorted(_rows, key=lambda row: str(row["family"]))
        rows = ",\n".join(f"    {json.dumps(row)}" for row in table)
        made_with = json.dumps({kind.__name__: kind.__version__ for kind in (torch, transformers)})
        text = f'{{\n  "versions": {made_with},\n  "rows": [\n{rows}\n  ]\n}}\n'
        Path(file).write_text(text, encoding="utf-8")
