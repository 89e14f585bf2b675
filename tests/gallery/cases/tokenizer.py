from __future__ import annotations

from tests.gallery.harness import Case

CASES: list[Case] = []
