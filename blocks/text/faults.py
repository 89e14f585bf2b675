"""What is wrong with a tokenizer.json: where its reader stumbles, and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from tokenizers import Tokenizer

from blocks.errors import TokenizerError, printable
from blocks.text.tokenfiles import read_json

__all__: list[str] = []

IDS = 1 << 31
_HOLES = 1 << 20  # ids below the last that no token has: whoever writes the vocabulary lists them
_GROWTH = 1 << 10  # how many times longer than a text all steps together may make it
_PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "model")
_MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")
_INNER = ("normalizers", "pretokenizers", "processors", "decoders")
_ADDED = b'"added_tokens"'
_NOTHING: dict[str, Any] = {"model": {"type": "WordLevel", "vocab": {}, "unk_token": ""}}


def fault(data: bytes, error: BaseException, file: str) -> TokenizerError:
    """Why the reader gave up on these bytes, with the field that is to blame."""
    tree = read_json({file: data}, file)
    for name in _PARTS:
        try:
            Tokenizer.from_str(json.dumps({"version": "1.0", **_NOTHING, name: tree.get(name)}))
        except BaseException as stumble:  # a Rust panic is no Exception
            return TokenizerError(_why(name, tree.get(name), stumble), file=file, field=name)
    return TokenizerError(f"can't be read: {_bare(error)}", file=file)


def _why(name: str, part: Any, error: BaseException) -> str:
    if not isinstance(part, dict):
        return f"must hold an object, not {type(part).__name__}"
    kind, said = part.get("type"), _bare(error)
    if name != "model":
        return f"of the type {printable(kind)!r} can't be read: {said}"
    if kind is not None and kind not in _MODELS:
        return f"is of the type {printable(kind)!r}, which is none of {', '.join(_MODELS)}"
    merges = part.get("merges")
    for merge in merges if isinstance(merges, list) else ():
        if not _is_pair(merge.split(" ") if isinstance(merge, str) else merge):
            return f"its merge {printable(merge)} is no pair of tokens"
    return f"can't be read: {said}"


def _is_pair(merge: Any) -> bool:
    return isinstance(merge, list) and len(merge) == 2 and all(isinstance(t, str) for t in merge)


def _bare(error: BaseException) -> str:
    """What the reader says, without where it stood in the text."""
    text = printable(error, 2_000).removeprefix("Cannot instantiate Tokenizer from buffer: ")
    return printable(text.partition(" at line ")[0])


def check_tokens(backend: Tokenizer, vocab: dict[str, int], file: str) -> None:
    """Refuses a vocabulary without tokens, one that gives an id twice, or an id far from others."""

    def wrong(reason: str, field: str = "model.vocab") -> TokenizerError:
        return TokenizerError(reason, file=file, field=field)

    if not backend.get_vocab_size(False):
        raise wrong("holds no token")
    last = max(vocab, key=vocab.__getitem__)
    if vocab[last] > len(vocab) + _HOLES:
        few = f"of {len(vocab)} tokens"
        raise wrong(f"gives {printable(last)!r} the id {vocab[last]}, far too large for one {few}")
    if len(set(vocab.values())) < len(vocab):
        for token, id in vocab.items():
            if backend.id_to_token(id) != token:
                both = f"{printable(token)!r} and {printable(backend.id_to_token(id))!r}"
                raise wrong(f"gives {both} the same id {id}")


def check_added(data: bytes, vocab: dict[str, int], file: str) -> None:
    """Refuses added tokens whose ids the reader did not keep: it counts on from the vocabulary."""
    for token in _added(data, file):
        content, id = token["content"], token["id"]
        if content and vocab.get(content) != id:
            raise TokenizerError(
                f"gives {printable(content)!r} the id {id}, where only {vocab.get(content)} can be",
                file=file,
                field="added_tokens",
            )


def _added(data: bytes, file: str) -> list[dict[str, Any]]:
    if data.count(_ADDED) == 1:  # most of the file need not be read a second time
        rest = data[data.index(_ADDED) + len(_ADDED) :].decode().lstrip().removeprefix(":")
        found = json.JSONDecoder().raw_decode(rest.lstrip())[0]
        if isinstance(found, list):
            return found
    return read_json({file: data}, file).get("added_tokens") or []


def check_steps(backend: Tokenizer, file: str) -> None:
    """Refuses steps that no text survives: in them the library panics, or memory runs out."""
    for name in _PARTS[:4]:
        growth = 1
        for step in steps(getattr(backend, name)):
            reason = _step_fault(step, backend)
            if step.get("type") == "Replace":
                growth *= max(1, len(step["content"]))
            elif step.get("type") == "Prepend":
                growth += len(step["prepend"])
            if growth > _GROWTH:
                reason = f"makes a text over {_GROWTH} times longer"
            if reason:
                raise TokenizerError(reason, file=file, field=name)


def steps(part: Any) -> list[dict[str, Any]]:
    """The steps of a normalizer, pre-tokenizer, post-processor or decoder, inner ones too."""

    def walk(step: dict[str, Any]) -> list[dict[str, Any]]:
        inner = next((step[name] for name in _INNER if name in step), None)
        return [step] if inner is None else [s for part in inner for s in walk(part)]

    return [] if part is None else walk(json.loads(part.__getstate__()))


def _step_fault(step: dict[str, Any], backend: Tokenizer) -> str | None:
    pattern = step.get("pattern")
    if isinstance(pattern, dict) and "" in pattern.values():
        return f"{step['type']} looks for nothing"
    if step.get("type") == "FixedLength" and not step["length"]:
        return "FixedLength cuts pieces of no length"
    added = [*islice(_added_by(step), _GROWTH + 1)]
    if len(added) > _GROWTH:
        return f"adds over {_GROWTH} tokens"
    for name, id in added:
        if id is None or backend.id_to_token(id) is None:
            return f"adds {printable(name)!r}, which is not in the vocabulary"
    return None


def _added_by(step: dict[str, Any]) -> Iterator[tuple[str, int | None]]:
    """Tokens that a post-processor sets around a text; None as the id of one it does not know."""
    if step.get("type") in ("BertProcessing", "RobertaProcessing"):
        yield from (tuple(step[name]) for name in ("sep", "cls"))
    elif step.get("type") == "TemplateProcessing":
        for piece in (*step["single"], *step["pair"]):
            if "SpecialToken" in piece:
                name = piece["SpecialToken"]["id"]
                ids = step["special_tokens"].get(name, {"ids": [None]})["ids"]
                yield from ((name, id) for id in ids)
