"""What a place says whose files are neither config.json nor safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from blocks.hub.checkpoint import Checkpoint, Peek
    from blocks.hub.config import Config

__all__: list[str] = []

Pool = Literal["first", "last", "mean"]


class Foreign(Protocol):
    """A model in a format of its own, told in terms of its family's files."""

    def reader(self) -> Config:
        """The reader of what config.json would hold."""
        ...

    def pool(self) -> Pool | None:
        """How a `SentenceHead` makes one vector of a text; None where nothing is said."""
        ...

    def generation(self) -> dict[str, Any]:
        """What generation_config.json would hold."""
        ...

    def tokenizer(self) -> dict[str, bytes]:
        """The tokenizer's files by their names."""
        ...

    def checkpoint(self) -> Checkpoint:
        """All tensors, with their files at hand."""
        ...

    def peek(self) -> Peek:
        """The same without fetching a file."""
        ...
