"""One family of errors: each says where (file, tensor, field), why, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

__all__ = [
    "AudioError",
    "BlocksError",
    "CheckpointError",
    "ConfigError",
    "GenerationError",
    "HubError",
    "SpecError",
    "TokenizerError",
]

_LONGEST = 2_000  # characters of one message: text from a file may not flood a terminal


def printable(text: object, limit: int = 200) -> str:
    """`text`, safe to show: control characters escaped, the middle cut out beyond `limit`."""
    whole = str(text)
    if len(whole) > 2 * limit:  # what is cut out need not be looked at
        whole = whole[:limit] + whole[-limit:]
    if whole.isprintable():
        shown = whole
    else:
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in whole)
    if len(shown) <= limit:
        return shown
    half = (limit - 3) // 2
    return f"{shown[:half]}...{shown[-half:]}"


def nearest(name: object, known: Iterable[str], most: int = 1) -> list[str]:
    """The known names most like a wrong one; of a file's, only as many as can be tried at once."""
    if not isinstance(name, str):
        return []
    short = (one for one in known if len(one) <= 100)
    return get_close_matches(name[:100], islice(short, 2_000), n=most)


class BlocksError(ValueError):
    """Whatever a user, a file or a repository got wrong.

    Args:
        reason: what is wrong, with the numbers.
        file: the file it is in.
        tensor: the tensor it concerns, by the name the file gives it.
        field: the configuration field or argument it concerns.
        hint: what to do about it.

    Example:
        >>> try:
        ...     raise BlocksError("must divide heads (6)", field="kv_heads", hint="use 1, 2 or 3")
        ... except ValueError as error:
        ...     print(error)
        kv_heads: must divide heads (6). Hint: use 1, 2 or 3
    """

    def __init__(
        self,
        reason: str,
        *,
        file: str | Path | None = None,
        tensor: str | None = None,
        field: str | None = None,
        hint: str | None = None,
    ):
        self.reason = reason
        self.file = None if file is None else str(file)
        self.tensor = tensor
        self.field = field
        self.hint = hint
        place = ": ".join(printable(part) for part in (self.file, tensor, field) if part)
        text = f"{place}: {reason}" if place else reason
        if hint:
            text = f"{text.rstrip('.')}. Hint: {hint}"
        super().__init__(printable(text, _LONGEST))


class SpecError(BlocksError):
    """A Spec or an argument that can't be: unknown name, wrong type, sizes that don't fit."""


class ConfigError(BlocksError):
    """A config.json that can't be read as the family it names."""


class CheckpointError(BlocksError):
    """Weights that are missing, extra, misshapen, damaged or unsafe."""


class HubError(BlocksError):
    """A repository, revision or file that can't be had."""


class TokenizerError(BlocksError):
    """A tokenizer or chat template that can't be read or used."""


class GenerationError(BlocksError):
    """A prompt, sampling option or model output from which no text can be made."""


class AudioError(BlocksError):
    """A sound file, waveform or front end from which nothing can be heard."""
