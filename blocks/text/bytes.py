"""Tokens that are bytes: no vocabulary to learn, and no text that it can't write."""

from __future__ import annotations

from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from blocks.errors import TokenizerError
from blocks.text.tokenizer import Tokenizer
from blocks.text.tokenjson import BYTES

__all__ = ["byte_tokenizer"]


def byte_tokenizer(
    *,
    pad: str | None = "<pad>",
    eos: str | None = "</s>",
    unk: str | None = "<unk>",
    bos: str | None = None,
    after: tuple[str, ...] = (),
) -> Tokenizer:
    r"""A tokenizer whose id of a byte of the UTF-8 text is the byte plus the tokens before it.

        id = byte + offset,    offset = how many of pad, eos, unk, bos there are, in this order

    By default that is ByT5's: pad 0, eos 1, unk 2, byte b is 3 + b; eos ends a text. Xue et al.,
    2022, arXiv:2105.13626. With `pad=None, eos=None, unk=None` ids are the bytes 0 … 255.

    It is a `Tokenizer` in all: it saves as tokenizer.json, streams and obeys stop strings. In text,
    the strings of special tokens stand for those tokens. Ids that are no UTF-8 decode to U+FFFD,
    one for each maximal part of a character, as Python's `errors="replace"` has it.

    Args:
        pad, eos, unk, bos: names of special tokens; None leaves one out. With `bos` a text begins
            with it.
        after: further special tokens behind the bytes, such as ByT5's 125 `<extra_id_0>` …

    Errors:
        TokenizerError: a name that is empty, given twice, or that of a byte.

    Example:
        >>> from blocks import byte_tokenizer
        >>> tokenizer = byte_tokenizer()
        >>> tokenizer.encode("né"), tokenizer.decode([113, 198, 172, 1]), tokenizer.vocab
        ([113, 198, 172, 1], 'né', 259)
        >>> byte_tokenizer(pad=None, eos=None, unk=None).encode("né")
        [110, 195, 169]
    """
    before = [token for token in (pad, eos, unk, bos) if token is not None]
    special = [*before, *after]
    letters = sorted(BYTES, key=lambda letter: BYTES[letter])
    for n, token in enumerate(special):
        if not isinstance(token, str) or not token or token in special[:n] or token in BYTES:
            reason = f"can't be a special token's name: {token!r}"
            raise TokenizerError(
                reason, hint="each needs a name of its own, of two letters or more"
            )
    names = before + letters + list(after)
    backend = Backend(models.BPE({name: id for id, name in enumerate(names)}, []))
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    if bos is not None or eos is not None:
        backend.post_processor = processors.TemplateProcessing(
            single=[*([bos] if bos else []), "$A", *([eos] if eos else [])],
            special_tokens=[(name, names.index(name)) for name in (bos, eos) if name],
        )
    return Tokenizer.from_backend(backend, bos=bos, eos=eos, pad=pad, unk=unk)
