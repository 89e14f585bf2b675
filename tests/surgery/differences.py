"""What a Difference tells, as a table."""

from __future__ import annotations

from typing import Any

import blocks


def told(found: blocks.Difference) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Both values of each change that is printed, by part and what."""
    return {(c.part, c.what): (c.a, c.b) for c in found.changes if not c.follows}
