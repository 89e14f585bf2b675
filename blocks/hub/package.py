"""The small model that comes with the library."""

from __future__ import annotations

from pathlib import Path

__all__ = ["packaged"]


def packaged() -> Path:
    """The folder of a small LLaMA trained on Shakespeare's plays, in the layout of any checkpoint.

    Example:
        >>> import blocks
        >>> sorted(path.suffix for path in blocks.packaged().glob("model.*"))
        ['.safetensors']
    """
    return Path(__file__).resolve().parent.parent / "shipped"
