"""What can't be written as a file of its own."""

from __future__ import annotations

from blocks.errors import BlocksError

__all__: list[str] = []


class Refusal(BlocksError):
    """A part of a model that the ejected file could not hold, and why."""
