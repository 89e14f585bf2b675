"""Weight files that are not what they say."""

from __future__ import annotations

from pathlib import Path

from blocks import CheckpointError
from tests.gallery.harness import Case
from tests.gallery.sound import MODEL


def cut(folder: Path) -> None:
    path = folder / MODEL
    path.write_bytes(path.read_bytes()[:-1])


CASES = [
    Case("one byte short", cut, CheckpointError, "cut short: 1 of", file=MODEL),
]
