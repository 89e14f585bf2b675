"""Matrices that the tools themselves stored: read to the last bit as they read them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from blocks.hub.quantised.storage import StoredKeys
from tests.hub.quantised.test_formats import NAME, PLAIN, UP, matched, named, read, storage

FILE = Path(__file__).parents[2] / "data" / "quantised.safetensors"
with safe_open(FILE, framework="pt") as handle:
    CASES: dict[str, Any] = json.loads(handle.metadata()["cases"])
    HELD = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118  (no dict)


@pytest.mark.parametrize("case", CASES)
def test_as_the_tool_reads_it(case: str) -> None:
    made = {n.removeprefix(case): t for n, t in HELD.items() if n.split(".")[0] == case}
    tensors, ours = named(made), {UP: (32, 64)}
    found = matched(StoredKeys(PLAIN, storage(CASES[case]["config"])), ours, tensors)
    assert not (found.missing or found.extra or found.misfits)
    assert set(found.found[0].names) == {f"{NAME}{end}" for end in made}
    values = read(found, ours, tensors)[UP].float().contiguous().numpy()
    assert values.std() > 0.01  # it is a matrix and not a heap of zeros
    assert hashlib.sha256(values.tobytes()).hexdigest() == CASES[case]["sha256"]
