"""The files a tokenizer is kept in, read with limits, and the tokens that they declare."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from blocks.errors import TokenizerError, printable

if TYPE_CHECKING:
    from blocks.hub.foreign import Foreign

__all__: list[str] = []

CONFIG, SPECIAL, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
TEMPLATES = {
    "default": "chat_template.jinja",
    "tool_use": "additional_chat_templates/tool_use.jinja",
    "rag": "additional_chat_templates/rag.jinja",
}
VOCABULARIES = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"))
# Every name that is ever read or written: none comes out of a file.
NAMES = (*chain(*VOCABULARIES), CONFIG, SPECIAL, ADDED, *TEMPLATES.values())
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LIMIT = 128 << 20
_KNOWN_ELSEWHERE = ("vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tekken.json")


class Added(NamedTuple):
    """A token that a side file declares; `id` is None where the file names none."""

    content: str
    id: int | None = None
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False


class Place(Protocol):
    """Where files are found: see `blocks.hub.source`."""

    name: str

    @property
    def foreign(self) -> Foreign | None: ...

    def find(self, filename: str, *, assume_absent: bool = False) -> Path | None: ...


def read_files(place: Place) -> dict[str, bytes]:
    """The first vocabulary there is, and what stands beside it; else what a GGUF file holds."""
    if place.foreign:
        return place.foreign.tokenizer()
    for names in VOCABULARIES:
        paths = [place.find(name) for name in names]
        files = {name: _read(path) for name, path in zip(names, paths, strict=True) if path}
        if len(files) == len(names):
            break
    else:
        path = place.find(CONFIG)
        files = {CONFIG: _read(path)} if path else {}
        if not (is_byt5(files) or is_canine(files)):
            from blocks.hub.gguf.place import chosen  # only where there is nothing else

            other = chosen(place)  # pyright: ignore[reportArgumentType]  # every place is a Source
            if other.foreign:
                return other.foreign.tokenizer()
            raise _no_vocabulary(place)
    for name in (CONFIG, SPECIAL, ADDED, *TEMPLATES.values()):
        if path := place.find(name, assume_absent=name != CONFIG):
            files[name] = _read(path)
    return files


def is_byt5(files: Mapping[str, bytes]) -> bool:
    """Whether there needs no vocabulary, since tokens are bytes."""
    return read_json(files, CONFIG).get("tokenizer_class") == "ByT5Tokenizer"


def is_canine(files: Mapping[str, bytes]) -> bool:
    """Whether there needs none, since tokens are characters."""
    return read_json(files, CONFIG).get("tokenizer_class") == "CanineTokenizer"


def _no_vocabulary(place: Place) -> TokenizerError:
    others = [n for n in (*NAMES, *_KNOWN_ELSEWHERE) if place.find(n, assume_absent=True)]
    return TokenizerError(
        "has no tokenizer.json, no tokenizer.model, and not both vocab.json and merges.txt; "
        f"of tokenizer files there is {', '.join(others) or 'none'}",
        file=place.name,
        hint="save a tokenizer.json there, as every fast tokenizer does",
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if (size := os.fstat(file.fileno()).st_size) > _LIMIT:
                raise TokenizerError(f"is larger than {_LIMIT} bytes", file=path)
            return file.read(size)  # room for all that is asked for is taken first
    except OSError as error:
        raise TokenizerError(f"can't be read: {error.strerror or error}", file=path) from None


def read_json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """A JSON object, empty where there is no such file."""
    try:
        value = json.loads(files.get(name, b"{}"), object_pairs_hook=_once)
    except RecursionError:
        raise TokenizerError("is nested too deeply", file=name) from None
    except ValueError as error:
        raise TokenizerError(f"is no JSON: {error}", file=name) from None
    if not isinstance(value, dict):
        raise TokenizerError(f"must hold an object, not {type(value).__name__}", file=name)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {printable(twice)!r} is there twice")
    return table


def read_text(files: Mapping[str, bytes], name: str) -> str:
    try:
        return files[name].decode()
    except UnicodeDecodeError as error:
        raise TokenizerError(f"is no UTF-8: {error.reason}", file=name) from None


def roles(files: Mapping[str, bytes]) -> dict[str, str]:
    """Which token plays which part, `bos_token` and so on; tokenizer_config.json wins."""
    found: dict[str, str] = {}
    for name in (SPECIAL, CONFIG):
        given = read_json(files, name)
        for role in ROLES:
            if given.get(role) is not None:
                found[role] = _token(given[role], name, role).content
        extra = given.get("extra_special_tokens")
        if isinstance(extra, dict):
            found |= {role: _token(v, name, role).content for role, v in extra.items()}
    return found


def declared(files: Mapping[str, bytes]) -> list[Added]:
    """All tokens that side files add to the vocabulary or call special, each once."""
    found: dict[str, Added] = {}
    for content, id in read_json(files, ADDED).items():
        found[content] = Added(content, _id(id, ADDED, content), special=False)
    config = read_json(files, CONFIG)
    decoder = config.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise TokenizerError("must be an object", file=CONFIG, field="added_tokens_decoder")
    for id, entry in decoder.items():
        token = _token(entry, CONFIG, f"added_tokens_decoder.{id}", special=False)
        found[token.content] = token._replace(id=_id(id, CONFIG, "added_tokens_decoder"))
    for name, given in ((CONFIG, config), (SPECIAL, read_json(files, SPECIAL))):
        for role in (*ROLES, "additional_special_tokens", "extra_special_tokens"):
            entries = given.get(role)
            if role == "extra_special_tokens" and isinstance(entries, dict):
                entries = list(entries.values())
            for entry in entries if isinstance(entries, list) else [entries]:
                if entry is not None:
                    token = _token(entry, name, role)
                    found[token.content] = found.get(token.content, token)._replace(special=True)
    return list(found.values())


def _token(entry: Any, file: str, field: str, special: bool = True) -> Added:
    flags = {"special": special}
    if isinstance(entry, dict):
        known = ("special", "lstrip", "rstrip", "single_word")
        flags |= {name: entry[name] for name in known if isinstance(entry.get(name), bool)}
        entry = entry.get("content")
    if not isinstance(entry, str) or not entry:
        raise TokenizerError('must be a token or {"content": token}', file=file, field=field)
    return Added(entry, **flags)


def _id(value: Any, file: str, field: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise TokenizerError(f"{printable(value)!r} is no token id", file=file, field=field)
    return value
