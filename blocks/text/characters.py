"""Tokens that are characters: ids are code points, and there is no vocabulary to keep."""

from __future__ import annotations

import json

from blocks.errors import TokenizerError
from blocks.text.engines import Stream
from blocks.text.tokenfiles import CONFIG, Added
from blocks.text.tokenizer import Tokenizer

__all__ = ["character_tokenizer"]

_PLANES = 0x110000
# In the private use area, where no character will ever be.
_USUAL = {
    "bos_token": "\ue000",
    "cls_token": "\ue000",
    "eos_token": "\ue001",
    "mask_token": "\ue003",
    "pad_token": "\0",
    "sep_token": "\ue001",
}


def character_tokenizer() -> Tokenizer:
    r"""A tokenizer whose id of a character is its code point: that of CANINE.

    A text stands between U+E000 and U+E001, U+E003 hides a character, 0 fills a batch. Clark et
    al., "CANINE", 2021, arXiv:2103.06874. It saves as tokenizer_config.json alone.

    Example:
        >>> from blocks import character_tokenizer
        >>> tokenizer = character_tokenizer()
        >>> tokenizer.encode("né", special=False), tokenizer.decode([57344, 110, 233, 57345])
        ([110, 233], 'né')
    """
    config = {"tokenizer_class": "CanineTokenizer", **_USUAL}
    return Tokenizer({CONFIG: json.dumps(config, indent=2).encode()})


class CodePoints:
    """Characters as an engine; completes `names`.

    Args:
        added: declared tokens, each a character.
        names: which token plays which part.
        file: the file to name in errors.
    """

    size = _PLANES

    def __init__(self, added: list[Added], names: dict[str, str], *, file: str):
        for role, token in _USUAL.items():
            names.setdefault(role, token)
        for token in added:
            if len(token.content) != 1 or token.id not in (None, ord(token.content)):
                reason = f"{token.content!r} is no character with its code point as the id"
                raise TokenizerError(reason, file=file, field="added_tokens_decoder")
        special = {token.content for token in added if token.special}
        special |= {token for role, token in names.items() if role in _USUAL}
        self.special = frozenset(ord(token) for token in special if len(token) == 1)
        self._around = [[ord(names[role])] for role in ("cls_token", "sep_token")]

    def encode(self, text: str, special: bool) -> list[int]:
        before, after = self._around if special else ([], [])
        return [*before, *map(ord, text), *after]

    def decode(self, ids: list[int], skip: bool) -> str:
        hidden = self.special if skip else ()
        return "".join(chr(id) for id in ids if id not in hidden)

    def stream(self, skip: bool) -> Stream:
        return _Shown(self, skip)

    def id(self, token: str) -> int | None:
        return ord(token) if len(token) == 1 else None

    def token(self, id: int) -> str | None:
        return None if 0xD800 <= id < 0xE000 else chr(id)  # half of a pair is no character


class _Shown:
    """Every character is final."""

    def __init__(self, engine: CodePoints, skip: bool):
        self._engine, self._skip = engine, skip

    def push(self, id: int) -> str:
        return self._engine.decode([id], self._skip)

    def flush(self) -> str:
        return ""
