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


def tokenizer_of(model: Any, given: Any = None) -> Tokenizer:
    """The tokenizer that is given, else that of a model's checkpoint.

    Errors:
        GenerationError: what is given is none, or the model wasn't loaded from anywhere.
        TokenizerError: there is no tokenizer where it was loaded from.
    """
    if given is not None:
        if isinstance(given, str) or not hasattr(given, "encode"):
            hint = "Tokenizer.from_pretrained(folder or repository) is one"
            reason = f"a {type(given).__name__} is no tokenizer"
            raise GenerationError(reason, field="tokenizer", hint=hint)
        return given
    source = source_of(model)
    if source is None:
        raise GenerationError(
            "the model was not loaded from a checkpoint that could have one",
            field="tokenizer",
            hint="pass tokenizer=",
        )
    return Tokenizer.from_source(source)
