"""What was said, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Segment", "Transcript"]


@dataclass(frozen=True)
class Segment:
    """Something that was said in one go.

    Attributes:
        start, end: seconds from the beginning of the sound.
        ids: tokens, those of times included.
        text: what was said; None without a tokenizer.
    """

    start: float
    end: float
    ids: tuple[int, ...]
    text: str | None = None


@dataclass(frozen=True)
class Transcript:
    """What `transcribe` gives.

    Attributes:
        segments: in the order in which they were said.
        language: its code, as told or as heard; None where the model has one language.

    Example:
        >>> from blocks import Segment, Transcript
        >>> parts = (Segment(0.0, 1.5, (7, 8), " Hello"), Segment(1.5, 2.0, (9,), " there"))
        >>> Transcript(parts).text
        'Hello there'
    """

    segments: tuple[Segment, ...]
    language: str | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens of all segments."""
        return tuple(id for segment in self.segments for id in segment.ids)

    @property
    def text(self) -> str | None:
        """All that was said; None without a tokenizer."""
        texts = [segment.text for segment in self.segments if segment.text is not None]
        return "".join(texts).strip() if len(texts) == len(self.segments) else None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        rows = [{"start": s.start, "end": s.end, "text": s.text} for s in self.segments]
        return {"text": self.text, "language": self.language, "segments": rows}

    def __str__(self) -> str:
        return self.text or ""
