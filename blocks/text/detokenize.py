"""Text from tokens as they arrive: what is said is final, and no character is ever cut in two."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blocks.text.tokenizer import Tokenizer

__all__ = ["Detokenizer"]


class ByteStream:
    """For tokens that stand for bytes: only an unfinished UTF-8 sequence waits."""

    def __init__(self, piece: Callable[[int], bytes], errors: str):
        self._piece = piece
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors)

    def push(self, id: int) -> str:
        return self._utf8.decode(self._piece(id))

    def flush(self) -> str:
        text = self._utf8.decode(b"", True)
        self._utf8.reset()
        return text


class WindowStream:
    """For decoders whose text for a token depends on whether others precede it.

    The few ids released last are decoded again in front of the new ones, so a rule about the start
    of a text can't see the new ones as a start, and the cost of a token doesn't grow.
    """

    def __init__(self, decode: Callable[[list[int]], str], waits: Callable[[int], bool]):
        self._decode, self._waits = decode, waits
        self._shown: list[int] = []
        self._held: list[int] = []

    def push(self, id: int) -> str:
        self._held.append(id)
        return "" if self._waits(id) else self._release()

    def flush(self) -> str:
        text = self._release()
        self._shown = []
        return text

    def _release(self) -> str:
        before = self._decode(self._shown)
        both = self._shown + self._held
        text = self._decode(both)[len(before) :]
        if not before:
            self._shown = both  # the start is not over before there is text
        elif text:  # an id that shows nothing need not be remembered
            self._shown = self._held if self._decode(self._held) else both
        self._held = []
        return text


class Detokenizer:
    """Decodes a stream of ids; the pieces joined are exactly `tokenizer.decode` of all ids.

    Args:
        tokenizer: whose ids will come.
        skip_special: leave special tokens out, as in `decode`.

    Example:
        >>> from tokenizers import Tokenizer as Trained, decoders, models, pre_tokenizers
        >>> alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        >>> trained = Trained(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
        >>> trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        >>> trained.decoder = decoders.ByteLevel()
        >>> from blocks.text.tokenizer import Tokenizer
        >>> tokenizer = Tokenizer.from_backend(trained)
        >>> detokenizer = Detokenizer(tokenizer)
        >>> [detokenizer.push(id) for id in tokenizer.encode("né")] + [detokenizer.flush()]
        ['n', '', 'é', '']
    """

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool = True):
        self._tokenizer = tokenizer
        self._stream = tokenizer.engine.stream(skip_special)

    def push(self, id: int) -> str:
        """Take one id and return the text that is now certain, often of earlier ids too.

        Errors:
            TokenizerError: the id is no token of this tokenizer.
        """
        [known] = self._tokenizer.check_ids([id])
        return self._stream.push(known)

    def flush(self) -> str:
        """Return what is left, an unfinished character as U+FFFD; the next id begins a new text."""
        return self._stream.flush()
