"""What every kind of vocabulary can do, and which kind a checkpoint's files hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from blocks.errors import TokenizerError, printable
from blocks.text.tokenfiles import CONFIG, declared, is_byt5, is_canine, read_json

__all__: list[str] = []


class Stream(Protocol):
    """Ids in, text that can't change any more out."""

    def push(self, id: int) -> str: ...

    def flush(self) -> str: ...


class Engine(Protocol):
    """What a vocabulary with its rules can do; `Tokenizer` adds names, checks and templates."""

    special: frozenset[int]
    size: int

    def encode(self, text: str, special: bool) -> list[int]: ...

    def decode(self, ids: list[int], skip: bool) -> str: ...

    def stream(self, skip: bool) -> Stream: ...

    def id(self, token: str) -> int | None: ...

    def token(self, id: int) -> str | None: ...


@contextmanager
def guarded(doing: str, *, file: str | None = None) -> Iterator[None]:
    """Turn whatever a foreign library raises, Rust panics included, into a TokenizerError."""
    try:
        yield
    except (TokenizerError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a Rust panic is no Exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TokenizerError(f"{doing} failed: {printable(reason)}", file=file) from None


def engine_of(files: dict[str, bytes], names: dict[str, str], place: str) -> Engine:
    """The engine for the vocabulary among the files; completes `names`, which part is whose."""
    added = declared(files)
    if "tokenizer.json" in files:
        from blocks.text.tokenjson import from_json

        return from_json(files["tokenizer.json"], added, file=f"{place}/tokenizer.json")
    if "tokenizer.model" in files:
        from blocks.text.sentencepieces import SentencePieces

        config = read_json(files, CONFIG)
        return SentencePieces(
            files["tokenizer.model"],
            added,
            names,
            add_bos=config.get("add_bos_token") is not False,
            add_eos=config.get("add_eos_token") is True,
            prefix_all=config.get("legacy") is True,
            file=f"{place}/tokenizer.model",
        )
    if is_canine(files):
        from blocks.text.characters import CodePoints

        return CodePoints(added, names, file=f"{place}/{CONFIG}")
    if is_byt5(files):
        from blocks.text.bytes import from_byt5

        engine = from_byt5(files, names, file=f"{place}/{CONFIG}")
    else:
        from blocks.text.tokenjson import from_gpt2

        engine = from_gpt2(files, added, names, file=place)
    files["tokenizer.json"] = engine.to_json()  # what a save will write
    return engine
