"""Tokens that are bytes: no vocabulary to learn, and no text that it can't write."""

from __future__ import annotations

from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from blocks.errors import TokenizerError
from blocks.text.tokenfiles import CONFIG, Added, declared, read_json
from blocks.text.tokenizer import Tokenizer
from blocks.text.tokenjson import BYTES, TokenJson

__all__ = ["byte_tokenizer"]

_ADDITIONAL = "additional_special_tokens"
_MOST = 100_000  # tokens behind the bytes


def byte_tokenizer(
    *,
    pad: str | None = "<pad>",
    eos: str | None = "</s>",
    unk: str | None = "<unk>",
    bos: str | None = None,
    before: tuple[str, ...] | None = None,
    after: tuple[str, ...] = (),
    ends: bool = True,
) -> Tokenizer:
    r"""A tokenizer whose id of a byte of the UTF-8 text is the byte plus the tokens before it.

        id = byte + offset,    offset = how many of pad, eos, unk, bos there are, in this order

    By default that is ByT5's: pad 0, eos 1, unk 2, byte b is 3 + b; eos ends a text. Xue et al.,
    2022, arXiv:2105.13626. With `pad=None, eos=None, unk=None` ids are the bytes 0 … 255.

    That of the Byte Latent Transformer (Pagnoni et al., 2024, arXiv:2412.09871) has four tokens in
    another order, of which a prompt has the second alone: `unk=None, bos="<s>", ends=False,
    before=("<boe>", "<s>", "</s>", "<pad>")`.

    It is a `Tokenizer` in all: it saves as tokenizer.json, streams and obeys stop strings. In text,
    the strings of special tokens stand for those tokens. Ids that are no UTF-8 decode to U+FFFD,
    one for each maximal part of a character, as Python's `errors="replace"` has it.

    Args:
        pad, eos, unk, bos: names of special tokens; None leaves one out. With `bos` a text begins
            with it.
        before: all special tokens before the bytes, in their order, where that is another one.
        after: further special tokens behind the bytes, such as ByT5's 125 `<extra_id_0>` …
        ends: whether eos ends a text.

    Errors:
        TokenizerError: a name that is empty, given twice, or that of a byte; `before` without one
            of the roles.

    Example:
        >>> from blocks import byte_tokenizer
        >>> tokenizer = byte_tokenizer()
        >>> tokenizer.encode("né"), tokenizer.decode([113, 198, 172, 1]), tokenizer.vocab
        ([113, 198, 172, 1], 'né', 259)
        >>> byte_tokenizer(pad=None, eos=None, unk=None).encode("né")
        [110, 195, 169]
    """
    roles = [token for token in (pad, eos, unk, bos) if token is not None]
    first = roles if before is None else list(before)
    if lost := [token for token in roles if token not in first]:
        raise TokenizerError(f"{lost[0]!r} is not among {first}", hint="before names all of them")
    special = [*first, *after]
    for n, token in enumerate(special):
        if not isinstance(token, str) or not token or token in special[:n] or token in BYTES:
            reason = f"can't be a special token's name: {token!r}"
            raise TokenizerError(
                reason, hint="each needs a name of its own, of two letters or more"
            )
    around = bos, eos if ends else None
    backend = _backend([*map(Added, first)], [*map(Added, after)], *around)
    return Tokenizer.from_backend(backend, bos=bos, eos=eos, pad=pad, unk=unk)


def from_byt5(files: dict[str, bytes], names: dict[str, str], *, file: str) -> TokenJson:
    """The engine of a ByT5, whose files hold its special tokens alone; completes `names`."""
    added, config = {token.content: token for token in declared(files)}, read_json(files, CONFIG)
    before = []
    for role, usual in (("pad_token", "<pad>"), ("eos_token", "</s>"), ("unk_token", "<unk>")):
        token = added.pop(names.setdefault(role, usual), Added(names[role]))
        if not isinstance(config.get(role), dict) and token.id is None:
            token = token._replace(lstrip=True, rstrip=True)  # what a bare name means to ByT5
        before.append(token)
    count = config.get("extra_ids", 125)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MOST:
        raise TokenizerError(f"{count!r} is no number of tokens", file=file, field="extra_ids")
    after = sorted(added.values(), key=lambda token: (token.id is None, token.id))
    if not any(config.get(name) is not None for name in ("extra_special_tokens", _ADDITIONAL)):
        known = {token.content for token in after}
        after += [Added(name) for n in range(count) if (name := f"<extra_id_{n}>") not in known]
    for id, token in [*enumerate(before), *enumerate(after, len(before) + len(BYTES))]:
        if token.id not in (None, id):
            reason = f"{token.content!r} has the id {token.id}, and {id} would be its place"
            raise TokenizerError(reason, file=file, field="added_tokens_decoder")
    backend = _backend(before, after, None, names["eos_token"])
    return TokenJson(backend, (), file=file)


def _backend(before: list[Added], after: list[Added], bos: str | None, eos: str | None) -> Backend:
    """Bytes with special tokens before and after them; bos and eos stand around a text."""
    letters = sorted(BYTES, key=lambda letter: BYTES[letter])
    tokens = [token.content for token in before], [token.content for token in after]
    names = [*tokens[0], *letters, *tokens[1]]
    backend = Backend(models.BPE({name: id for id, name in enumerate(names)}, []))
    for token in (*before, *after):
        sides = {"lstrip": token.lstrip, "rstrip": token.rstrip}
        backend.add_special_tokens([AddedToken(token.content, normalized=False, **sides)])
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    if bos is not None or eos is not None:
        backend.post_processor = processors.TemplateProcessing(
            single=[*([bos] if bos else []), "$A", *([eos] if eos else [])],
            special_tokens=[(name, names.index(name)) for name in (bos, eos) if name],
        )
    return backend
