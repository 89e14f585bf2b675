"""Vocabularies of single letters, by which models of speech spell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from blocks.errors import TokenizerError
from blocks.hub.config import read_json
from blocks.hub.source import Source

__all__: list[str] = []

# What tokenizer_config.json may say, and what is meant where it says nothing.
_ROLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


class Letters:
    """wav2vec 2.0's vocab.json: letters, a token between words, and a few that are no text.

    Args:
        vocab: ids by letter.
        between: the token that stands for a space.
        silent: tokens that are no text.
        lower: whether text is written in small letters.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        *,
        between: str = "|",
        silent: Iterable[str] = tuple(_ROLES.values()),
        lower: bool = False,
    ):
        self._letters = {id: " " if letter == between else letter for letter, id in vocab.items()}
        for name in silent:
            if name in vocab:
                self._letters[vocab[name]] = ""
        self._ids, self._lower = dict(vocab), lower

    @classmethod
    def from_source(cls, source: Source) -> Letters:
        """Those of a folder or repository."""
        path = source.need("vocab.json")
        vocab: Any = read_json(path)
        if not vocab or not all(type(id) is int and id >= 0 for id in vocab.values()):
            hint = "a table for each language can't be read" if vocab else None
            raise TokenizerError("is not a table of letters and their ids", file=path, hint=hint)
        where = source.find("tokenizer_config.json", assume_absent=True)
        said = read_json(where) if where else {}
        roles = [_content(said.get(role, absent)) for role, absent in _ROLES.items()]
        between = _content(said.get("word_delimiter_token", "|"))
        lower = said.get("do_lower_case") is True
        return cls(vocab, between=between, silent=roles, lower=lower)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of tokens without repetitions and blanks.

        Errors:
            TokenizerError: an id that is not in the vocabulary.
        """
        try:
            text = "".join(self._letters[int(id)] for id in ids)
        except KeyError as error:
            raise TokenizerError(f"has no token {error.args[0]}", file="vocab.json") from None
        return text.lower() if self._lower else text

    def id(self, token: str) -> int | None:
        """The id of a token; None where there is none."""
        return self._ids.get(token)


def _content(value: Any) -> str:
    """A token's text: as it is, or inside an object."""
    return str(value.get("content", "")) if isinstance(value, Mapping) else str(value)
