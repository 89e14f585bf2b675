"""Where a model is from, for what else its checkpoint holds."""

from __future__ import annotations

from typing import Any

from blocks.errors import GenerationError
from blocks.hub.source import Source, resolve
from blocks.text.tokenizer import Tokenizer


def source_of(model: Any) -> Source | None:
    """The folder or repository that a model was loaded from, at the same commit."""
    origin = getattr(model, "origin", None)
    return None if origin is None else resolve(**origin)


def tokenizer_of(model: Any) -> Tokenizer:
    """The tokenizer of a model's checkpoint.

    Errors:
        GenerationError: it wasn't loaded from anywhere.
        TokenizerError: there is no tokenizer where it was loaded from.
    """
    source = source_of(model)
    if source is None:
        raise GenerationError(
            "the model was not loaded from a checkpoint that could have one",
            field="tokenizer",
            hint="pass tokenizer=",
        )
    return Tokenizer.from_source(source)
