"""The engine behind a `tokenizer.model`: SentencePiece (Kudo and Richardson, arXiv:1808.06226).

Ids are SentencePiece's own. Around it stands what side files add: tokens that are found in the text
before SentencePiece sees it, and the marks at both ends.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

import sentencepiece

from blocks.errors import TokenizerError
from blocks.text.detokenize import ByteStream
from blocks.text.engines import Stream, guarded
from blocks.text.tokenfiles import Added

__all__: list[str] = []

_SPACE = "\u2581"
# A protobuf message appended to another overrides it: normalizer_spec { add_dummy_prefix: false }
_NO_PREFIX = b"\x1a\x02\x18\x00"


def _each_byte(error: UnicodeError) -> tuple[str, int]:
    """SentencePiece shows one replacement character a byte, not one a sequence."""
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("blocks-each-byte", _each_byte)


class SentencePieces:
    """SentencePiece model and declared tokens as one engine.

    Args:
        model: the bytes of tokenizer.model.
        added: declared tokens; those with an id of their own extend or rename the vocabulary.
        names: which token plays which part; completed with the model's own.
        add_bos, add_eos: put these in front and behind.
        prefix_all: each stretch of text between added tokens gets SentencePiece's leading
            space, the older convention, not only the first.
        file: the file to name in errors.
    """

    def __init__(
        self,
        model: bytes,
        added: Iterable[Added],
        names: dict[str, str],
        *,
        add_bos: bool,
        add_eos: bool,
        prefix_all: bool,
        file: str,
    ):
        self._bytes, self._prefix_all, self._file = model, prefix_all, file
        if not model:
            raise TokenizerError("is empty", file=file)
        with guarded("reading it as a SentencePiece model", file=file):
            self._model = self._bare = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces = self._model.get_piece_size()
        self._names: dict[int, str] = {}
        special = {i for i in range(pieces) if self._model.is_control(i)}
        self._added: dict[str, Added] = {}
        self._ids: dict[str, int] = {}
        for token in sorted(added, key=lambda token: pieces if token.id is None else token.id):
            id = self._piece(token.content) if token.id is None else token.id
            if id is None:
                continue
            self._names[id], self._ids[token.content] = token.content, id
            self._added[token.content] = token
            special.add(id) if token.special else special.discard(id)
        self.special = frozenset(special)
        self.size = max(pieces, *(id + 1 for id in self._names), 0)
        for role, token in self._own_names().items():
            names.setdefault(role, token)
        bos, eos = names.get("bos_token", ""), names.get("eos_token", "")
        self._ends = (self.id(bos) if add_bos else None, self.id(eos) if add_eos else None)
        # The longest first, as one that begins another must not win.
        self._order = sorted(self._added.values(), key=lambda token: -len(token.content))
        self._split = re.compile("|".join(map(_way, self._order)))
        self._first, self._every = self._leading()

    def encode(self, text: str, special: bool) -> list[int]:
        bos, eos = self._ends if special else (None, None)
        ids = [] if bos is None else [bos]
        at = 0
        for match in self._split.finditer(text) if self._order else ():
            token = self._order[(match.lastindex or 1) - 1]
            before = text[at : match.start()]
            ids += self._plain(before.rstrip() if token.lstrip else before, at)
            ids.append(self._ids[token.content])
            at = match.end()
            if token.rstrip:
                at = len(text) - len(text[at:].lstrip())
        ids += self._plain(text[at:], at)
        return ids if eos is None else [*ids, eos]

    def decode(self, ids: list[int], skip: bool) -> str:
        stream = self.stream(skip)
        return "".join([*map(stream.push, ids), stream.flush()])

    def stream(self, skip: bool) -> Stream:
        return _PieceStream(self, self.special if skip else frozenset())

    def id(self, token: str) -> int | None:
        return self._ids[token] if token in self._ids else self._piece(token)

    def token(self, id: int) -> str | None:
        if id in self._names:
            return self._names[id]
        return self._model.id_to_piece(id) if 0 <= id < self._model.get_piece_size() else None

    def byte(self, id: int) -> bool:
        """Whether the id stands for one byte of a character the vocabulary lacks."""
        return id not in self._names and self._model.is_byte(id)

    def piece(self, id: int, start: bool) -> tuple[bytes, bool]:
        """Bytes the id stands for, and whether a text is still at its start after it."""
        name, piece = self._names.get(id), self._model_piece(id)
        if name is not None and (name != piece or id in self.special or self._model.is_control(id)):
            return name.encode(), False
        if self._model.is_control(id):
            return piece.encode(), False
        if self.byte(id):
            return bytes([int(piece[1:-1], 16)]), False
        if self._model.is_unknown(id):
            return self._model.decode([id]).encode(), False
        dropped = start and self._first and piece.startswith(_SPACE)
        text = piece[dropped:].replace(_SPACE, " ")
        return text.encode(), start and not text and not (dropped and not self._every)

    def _model_piece(self, id: int) -> str:
        return self._model.id_to_piece(id) if id < self._model.get_piece_size() else ""

    def _own_names(self) -> dict[str, str]:
        model = self._model
        ids = (model.bos_id(), model.eos_id(), model.unk_id(), model.pad_id())
        named = zip(("bos_token", "eos_token", "unk_token", "pad_token"), ids, strict=True)
        return {role: model.id_to_piece(id) for role, id in named if id >= 0}

    def _piece(self, token: str) -> int | None:
        id = self._model.piece_to_id(token)
        return id if self._model.id_to_piece(id) == token and id not in self._names else None

    def _plain(self, text: str, at: int) -> list[int]:
        if not text:
            return []
        with guarded("encoding", file=self._file):
            if at == 0 or self._prefix_all:
                return self._model.encode(text)
            if self._bare is self._model:
                self._bare = sentencepiece.SentencePieceProcessor(
                    model_proto=self._bytes + _NO_PREFIX
                )
            return self._bare.encode(text)

    def _leading(self) -> tuple[bool, bool]:
        """Whether decoding drops the space of the first piece, and of every blank first piece."""
        model = self._model
        words = (
            id
            for id in range(model.get_piece_size())
            if not (model.is_control(id) or model.is_unknown(id) or model.is_byte(id))
            and model.id_to_piece(id).startswith(_SPACE)
            and len(model.id_to_piece(id)) > 1
        )
        word, blank = next(words, None), self._piece(_SPACE)
        if word is None:
            word = blank
        if word is None:
            return False, False
        first = not model.decode([word]).startswith(" ")
        every = blank is not None and not model.decode([blank, word]).startswith(" ")
        return first, first and every


class _PieceStream:
    """Pieces as bytes; the leading space is dropped once, and no character spans other pieces."""

    def __init__(self, pieces: SentencePieces, hidden: frozenset[int]):
        self._pieces, self._hidden, self._start = pieces, hidden, True
        self._bytes = ByteStream(self._next, "blocks-each-byte")

    def push(self, id: int) -> str:
        if id in self._hidden:
            return self._bytes.flush()
        cut = "" if self._pieces.byte(id) else self._bytes.flush()
        return cut + self._bytes.push(id)

    def flush(self) -> str:
        self._start = True
        return self._bytes.flush()

    def _next(self, id: int) -> bytes:
        data, self._start = self._pieces.piece(id, self._start)
        return data


def _way(token: Added) -> str:
    """The pattern, one group, that finds the token in a text."""
    way = re.escape(token.content)
    return rf"(?<!\w)({way})(?!\w)" if token.single_word else f"({way})"
