"""The engine behind a `tokenizer.json`, or behind GPT-2's pair vocab.json and merges.txt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from blocks.errors import TokenizerError, printable
from blocks.text.detokenize import ByteStream, WindowStream
from blocks.text.engines import Stream, guarded
from blocks.text.faults import IDS, check_added, check_steps, check_tokens, fault, steps
from blocks.text.tokenfiles import CONFIG, Added, read_json, read_text

__all__: list[str] = []

# These turn each token into text by itself, or by whether it is the first or the last.
_TOKEN_BY_TOKEN = {"BPEDecoder", "ByteFallback", "Metaspace", "Replace", "Strip", "WordPiece"}
_END = "<|endoftext|>"


class TokenJson:
    """A tokenizer of the `tokenizers` library as an engine.

    Args:
        backend: becomes the engine's own, and is changed.
        added: declared tokens, of which missing ones are added.
        file: the file to name in errors.
    """

    def __init__(self, backend: Tokenizer, added: Iterable[Added], *, file: str):
        self._backend, self._file = backend, file
        with guarded("setting up the tokenizer", file=file):
            backend.no_truncation()
            backend.no_padding()
            if getattr(backend.model, "dropout", None) is not None:
                backend.model.dropout = None  # for training; it makes ids random
            for token in sorted(added, key=lambda token: token.id or 0):
                self._declare(token, file)
            tokens = backend.get_added_tokens_decoder()
            self.special = frozenset(id for id, token in tokens.items() if token.special)
            vocab = backend.get_vocab(True)
            check_tokens(backend, vocab, file)
            check_steps(backend, file)
            self.size = 1 + max(vocab.values())
            self._steps = steps(backend.decoder)

    def _declare(self, token: Added, file: str) -> None:
        id = self._backend.token_to_id(token.content)
        if id is None and token.id is None:
            return  # a name for a token the vocabulary lacks
        if None not in (id, token.id) and id != token.id:
            raise TokenizerError(
                f"has {printable(token.content)!r} as {id}, {CONFIG} or added_tokens.json as "
                f"{token.id}",
                file=file,
                hint="one of the two files is another model's: put the right one there",
            )
        known = self._backend.get_added_tokens_decoder().get(-1 if id is None else id)
        if id is not None and (not token.special or (known and known.special)):
            return
        flags = known or token
        entry = AddedToken(
            token.content,
            single_word=flags.single_word,
            lstrip=flags.lstrip,
            rstrip=flags.rstrip,
            normalized=known.normalized if known else False,
            special=token.special,
        )
        add = self._backend.add_special_tokens if token.special else self._backend.add_tokens
        add([entry])
        if id is None and self._backend.token_to_id(token.content) != token.id:
            raise TokenizerError(
                f"has no token {printable(token.content)!r}, which {CONFIG} or added_tokens.json "
                f"gives the id {token.id}, and the next free id is another",
                file=file,
            )

    def encode(self, text: str, special: bool) -> list[int]:
        with guarded("encoding", file=self._file):
            return self._backend.encode(text, add_special_tokens=special).ids

    def decode(self, ids: list[int], skip: bool) -> str:
        hidden = self.special if skip else ()
        with guarded("decoding", file=self._file):
            shown = [id for id in ids if id not in hidden]
            return self._backend.decode(shown, skip_special_tokens=False)

    def stream(self, skip: bool) -> Stream:
        hidden = self.special if skip else ()
        kinds = [step.get("type") for step in self._steps]
        if kinds == ["ByteLevel"]:
            return ByteStream(lambda id: b"" if id in hidden else self._piece(id), "replace")

        def decode(ids: list[int]) -> str:
            return self.decode(ids, skip)

        fused = kinds.index("Fuse") if "Fuse" in kinds else len(kinds)
        if not _TOKEN_BY_TOKEN.issuperset(kinds[:fused]) or not all(
            step.get("type") == "Fuse" or (step.get("type") == "Strip" and step.get("stop") == 0)
            for step in self._steps[fused:]
        ):
            return WindowStream(decode, lambda id: True)  # nothing is certain before the end
        # One bad byte spoils a whole run of byte tokens: none is certain before the run ends.
        bytes_wait = "ByteFallback" in kinds
        return WindowStream(
            decode, lambda id: id in hidden or (bytes_wait and _is_byte(self.token(id)))
        )

    def id(self, token: str) -> int | None:
        return self._backend.token_to_id(token)

    def token(self, id: int) -> str | None:
        return self._backend.id_to_token(id)

    def to_json(self) -> bytes:
        with guarded("writing tokenizer.json", file=self._file):
            return self._backend.to_str(pretty=True).encode()

    def _piece(self, id: int) -> bytes:
        token = self.token(id) or ""
        if all(c in BYTES for c in token):
            return bytes(BYTES[c] for c in token)
        return token.encode()  # an added token, kept as plain text


def from_json(data: bytes, added: Iterable[Added], *, file: str) -> TokenJson:
    """The engine of a tokenizer.json's bytes."""
    try:
        backend = Tokenizer.from_buffer(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a Rust panic is no Exception
        raise fault(data, error, file) from None
    with guarded("reading the tokenizer", file=file):
        check_added(data, backend.get_vocab(True), file)
    return TokenJson(backend, added, file=file)


def from_gpt2(
    files: Mapping[str, bytes], added: list[Added], names: dict[str, str], *, file: str
) -> TokenJson:
    """GPT-2's byte-level pairs (Radford et al., 2019) from vocab.json and merges.txt.

    Completes `names`: where nothing is said, <|endoftext|> begins and ends a text.
    """
    vocab, config = read_json(files, "vocab.json"), read_json(files, CONFIG)
    kind = str(config.get("tokenizer_class", "GPT2Tokenizer")).removesuffix("Fast")
    others = {"<mask>", "</w>", "!</w>"} & vocab.keys()
    if kind not in ("GPT2Tokenizer", "PreTrainedTokenizer") or others:
        raise TokenizerError(
            f"vocab.json and merges.txt are read as GPT-2's; {kind} may split text otherwise",
            file=file,
            hint="save the tokenizer as tokenizer.json, which says all",
        )
    if not all(type(id) is int and 0 <= id < IDS for id in vocab.values()):
        raise TokenizerError("must map tokens to ids", file="vocab.json")
    if len(set(vocab.values())) < len(vocab):
        raise TokenizerError("gives two tokens the same id", file="vocab.json")
    lines = read_text(files, "merges.txt").splitlines()
    pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    for pair in pairs:
        if len(pair) != 2:
            raise TokenizerError("each line must hold two tokens", file="merges.txt")
        if lost := [token for token in (*pair, "".join(pair)) if token not in vocab]:
            reason = f"merges {printable(lost[0])!r}, which is not in vocab.json"
            raise TokenizerError(reason, file="merges.txt")
    with guarded("reading vocab.json and merges.txt", file=file):
        backend = Tokenizer(models.BPE(vocab, [(pair[0], pair[1]) for pair in pairs]))
        prefix = config.get("add_prefix_space") is True
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
        backend.decoder = decoders.ByteLevel()
    if _END in vocab:
        added = [*added, *([] if any(t.content == _END for t in added) else [Added(_END)])]
        for role in ("bos_token", "eos_token", "unk_token"):
            names.setdefault(role, _END)
    engine = TokenJson(backend, added, file=file)
    front = names.get("bos_token") if config.get("add_bos_token") is True else None
    if front is not None and (id := engine.id(front)) is not None:
        with guarded("reading tokenizer_config.json", file=file):
            backend.post_processor = processors.TemplateProcessing(
                single=[front, "$A"], special_tokens=[(front, id)]
            )
    return engine


def _is_byte(token: str | None) -> bool:
    return token is not None and len(token) == 6 and token[:3] == "<0x" and token[-1] == ">"


def _byte_alphabet() -> dict[str, int]:
    """GPT-2 writes a printable byte as itself and the others as the characters from U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(b): b for b in plain} | {chr(256 + n): b for n, b in enumerate(others)}


BYTES = _byte_alphabet()
