"""The tokenizer that a GGUF file holds, as the files that other checkpoints keep it in."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blocks.errors import TokenizerError, nearest, printable
from blocks.hub.gguf.container import Texts
from blocks.hub.gguf.pretokens import SPLITS

__all__: list[str] = []

_KEY = "tokenizer.ggml."
_UNKNOWN, _CONTROL, _OWN, _BYTE = 2, 3, 4, 6
_ROLES = {"bos": "bos", "eos": "eos", "unk": "unknown", "sep": "seperator", "pad": "padding"}
_ROLES |= {"cls": "cls", "mask": "mask"}
_LARGEST = 3e38  # of a score
_SPACE = "\u2581"


def tokenizer_files(metadata: Mapping[str, Any], file: str | Path) -> dict[str, bytes]:
    """tokenizer.json or tokenizer.model, tokenizer_config.json, and chat templates.

    Errors:
        TokenizerError: the file holds no vocabulary, or one of a kind that can't be read.
    """
    return _Vocabulary(metadata, file).files()


class _Vocabulary:
    def __init__(self, metadata: Mapping[str, Any], file: str | Path):
        self.metadata, self.file = metadata, file
        self.model = self._said("model", str, "none")
        makers = {"llama": self._pieces, "gpt2": self._pairs, "bert": self._words}
        if self.model not in makers:
            told = "has no tokenizer" if self.model in ("none", "no_vocab") else "can't be read"
            raise self._wrong("model", f"{printable(self.model)!r}: {told}")
        self.make = makers[self.model]
        self.tokens = list(self._said("tokens", Texts))
        self.kinds = self._said("token_type", tuple, (1,) * len(self.tokens))
        if len(self.kinds) != len(self.tokens):
            raise self._wrong("token_type", f"has {len(self.kinds)} of {len(self.tokens)} entries")
        if not all(type(kind) is int and 0 <= kind <= _BYTE for kind in self.kinds):
            raise self._wrong("token_type", f"must be whole numbers from 0 to {_BYTE}")
        self.roles = self._roles()

    def _wrong(self, key: str, reason: str, hint: str | None = None) -> TokenizerError:
        return TokenizerError(reason, file=self.file, field=_KEY + key, hint=hint)

    def _said(self, key: str, kind: type, default: Any = None) -> Any:
        value = self.metadata.get(_KEY + key, default)
        if not isinstance(value, kind):
            raise self._wrong(key, "is missing" if value is None else f"{value!r} is odd")
        return value

    def _roles(self) -> dict[str, str]:
        """The tokens that play a part, by the names of tokenizer_config.json."""
        found = {}
        for role, key in _ROLES.items():
            id = self._said(f"{key}_token_id", int, -1)
            if 0 <= id < len(self.tokens):
                found[f"{role}_token"] = self.tokens[id]
        return found

    def files(self) -> dict[str, bytes]:
        """All files, by name."""
        config: dict[str, Any] = {"clean_up_tokenization_spaces": False, **self.roles}
        files, more = self.make()
        files["tokenizer_config.json"] = _json(config | more)
        template = self.metadata.get("tokenizer.chat_template")
        if isinstance(template, str):
            files["chat_template.jinja"] = template.encode()
        for name in ("tool_use", "rag"):
            template = self.metadata.get(f"tokenizer.chat_template.{name}")
            if isinstance(template, str):
                files[f"additional_chat_templates/{name}.jinja"] = template.encode()
        return files

    def _adds(self, end: str, default: bool) -> bool:
        return self._said(f"add_{end}_token", bool, default)

    def _pieces(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """SentencePiece's pairs, as the model file that it was made from."""
        scores = self._said("scores", tuple)
        if len(scores) != len(self.tokens):
            raise self._wrong("scores", f"has {len(scores)} of {len(self.tokens)} entries")
        if not all(isinstance(score, float) and abs(score) < _LARGEST for score in scores):
            raise self._wrong("scores", "must be 32-bit floats")
        rows = zip(self.tokens, scores, self.kinds, strict=True)
        body = b"".join(_message(1, _piece(*row)) for row in rows)
        trainer = _number(3, 2)  # pairs
        trainer += _number(35, int(_BYTE in self.kinds))
        for field, role in ((45, "unk"), (46, "bos"), (47, "eos"), (48, "pad")):
            if f"{role}_token" in self.roles:
                trainer += _message(field, self.roles[f"{role}_token"].encode())
        prefix = self._said("add_space_prefix", bool, True)
        normalizer = _message(1, b"identity") + _number(3, int(prefix)) + _number(4, 0)
        body += _message(2, trainer) + _message(3, normalizer + _number(5, 1))
        marks = {
            str(id): {"content": token, "special": True}
            for id, token in enumerate(self.tokens)
            if self.kinds[id] == _CONTROL
        }
        config = {
            "tokenizer_class": "LlamaTokenizer",
            "add_bos_token": self._adds("bos", True),
            "add_eos_token": self._adds("eos", False),
            "added_tokens_decoder": marks,
            "legacy": True,
        }
        return {"tokenizer.model": body}, config

    def _pairs(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """GPT-2's byte-level pairs."""
        name = self._said("pre", str, "default")
        if name not in SPLITS:
            near = nearest(name, SPLITS)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(SPLITS)}"
            raise self._wrong("pre", f"{printable(name)!r}: how text is split is not known", hint)
        split = SPLITS[name]
        pairs = [merge.split(" ") for merge in self._said("merges", Texts)]
        model = {
            "type": "BPE",
            "vocab": self._ids(),
            "merges": pairs,
            "ignore_merges": split.whole,
            "fuse_unk": False,
            "byte_fallback": False,
        }
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        data = {
            "pre_tokenizer": split.to_json(),
            "decoder": level | {"use_regex": True},
            "post_processor": self._ends(split.bos),
        }
        return self._tokenizer(model, data)

    def _words(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """BERT's pieces of words, whose beginnings were marked instead of what follows them."""
        ids = {}
        for id, token in enumerate(self.tokens):
            if self.kinds[id] != _CONTROL and self.kinds[id] != _UNKNOWN:
                inner = not token.startswith(_SPACE)
                token = f"##{token}" if inner else token.removeprefix(_SPACE)
            ids.setdefault(token, id)
        first, last = (self.roles.get(f"{role}_token") for role in ("cls", "sep"))
        if first is None or last is None:
            first, last = self.roles.get("bos_token"), self.roles.get("eos_token", last)
        unknown = self.roles.get("unk_token", "[UNK]")
        model = {"type": "WordPiece", "vocab": ids, "unk_token": unknown}
        model |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
        data = {
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "post_processor": self._around([first] if first else [], [last] if last else []),
        }
        return self._tokenizer(model, data)

    def _ids(self) -> dict[str, int]:
        ids = {token: id for id, token in enumerate(self.tokens)}
        if len(ids) < len(self.tokens):
            twin = next(token for id, token in enumerate(self.tokens) if ids[token] != id)
            raise self._wrong("tokens", f"{printable(twin)!r} is there twice")
        return ids

    def _ends(self, bos: bool) -> dict[str, Any] | None:
        first, last = self.roles.get("bos_token"), self.roles.get("eos_token")
        front = [first] if first and self._adds("bos", bos) else []
        return self._around(front, [last] if last and self._adds("eos", False) else [])

    def _around(self, front: list[str], back: list[str]) -> dict[str, Any] | None:
        if not front and not back:
            return None
        single = [*map(_special, front), {"Sequence": {"id": "A", "type_id": 0}}]
        single += map(_special, back)
        marks = {t: {"id": t, "ids": [self.tokens.index(t)], "tokens": [t]} for t in front + back}
        pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
        return {
            "type": "TemplateProcessing",
            "single": single,
            "pair": pair,
            "special_tokens": marks,
        }

    def _tokenizer(
        self, model: dict[str, Any], data: dict[str, Any]
    ) -> tuple[dict[str, bytes], dict[str, Any]]:
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        kinds = zip(self.tokens, self.kinds, strict=True)
        added = [
            {"id": id, "content": token, "special": kind == _CONTROL, **flags}
            for id, (token, kind) in enumerate(kinds)
            if kind in (_CONTROL, _OWN)
        ]
        whole = {"version": "1.0", "added_tokens": added, "normalizer": None} | data
        config = {"tokenizer_class": "PreTrainedTokenizerFast"}
        return {"tokenizer.json": _json(whole | {"model": model})}, config


def _special(token: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": 0}}


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode(errors="replace")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _message(field: int, data: bytes) -> bytes:
    """A field of a protobuf message that holds bytes."""
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _piece(token: str, score: float, kind: int) -> bytes:
    value = _varint(2 << 3 | 5) + struct.pack("<f", score)
    return _message(1, token.encode()) + value + _number(3, kind)
