"""Tokenizer files: saved as they were read, and refused when they are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import HubError, TokenizerError
from blocks.text.tokenizer import Tokenizer
from tests.text.trained import KINDS, TEXTS, byte_level, gpt2, pair, save, words


@pytest.mark.parametrize("kind", KINDS)
def test_saving_keeps_every_byte(kind: str, tmp_path: Path) -> None:
    source = save(
        tmp_path / "a",
        KINDS[kind](),
        tokenizer_config={"chat_template": "x", "unknown": [1]},
        special_tokens_map={},
    )
    (source / "chat_template.jinja").write_text("{{ 'é' }}")
    (source / "additional_chat_templates").mkdir()
    (source / "additional_chat_templates" / "rag.jinja").write_text("rag")
    ours = Tokenizer.from_pretrained(source)
    chat = [{"role": "user", "content": "x"}]
    assert (ours.render(chat), ours.render(chat, template="rag")) == ("é", "rag")
    target = tmp_path / "b" / "c"
    target.mkdir(parents=True)
    (target / "tokenizer.model").write_text("stale")
    (target / "kept.txt").write_text("kept")
    ours.save_pretrained(target)
    files = {p.relative_to(source): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    saved = {p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert saved == {**files, Path("kept.txt"): b"kept"}
    again = Tokenizer.from_pretrained(target)
    assert [again.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]


def test_saving_never_writes_through_a_link(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_text("precious")
    target = tmp_path / "target"
    target.mkdir()
    (target / "tokenizer.json").symlink_to(blob)
    ours, _ = pair("words")
    ours.save_pretrained(target)
    assert blob.read_text() == "precious"
    with pytest.raises(TokenizerError, match="can't be written"):
        ours.save_pretrained(blob)


def test_missing_files_are_listed(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"no tokenizer\.json.*there is none"):
        Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text("{}")
    (tmp_path / "vocab.txt").write_text("")
    with pytest.raises(TokenizerError, match=r"there is vocab\.json, vocab\.txt"):
        Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(HubError):
        Tokenizer.from_pretrained(tmp_path / "nowhere")


def damaged() -> dict[str, bytes]:
    whole = byte_level().to_str()
    tree = json.loads(whole)

    def changed(**parts: Any) -> bytes:
        return json.dumps({**tree, **parts}).encode()

    bad_regex = {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}
    return {
        "empty": b"",
        "truncated": whole[: len(whole) // 2].encode(),
        "list": b"[]",
        "number": b"5",
        "null": b"null",
        "not text": b"\xff\xfe\x00",
        "foreign": b'{"architectures": ["LlamaForCausalLM"], "hidden_size": 64}',
        "deep": b'{"model":' + b"[" * 100_000,
        "no model": changed(model=None),
        "model of another kind": changed(model={"type": "Foo"}),
        "vocabulary of texts": changed(model={**tree["model"], "vocab": {"a": "b"}}),
        "merge of unknown": changed(model={**tree["model"], "merges": [["zz", "yy"]]}),
        "long merge": changed(model={**tree["model"], "merges": [["a", "b", "c"]]}),
        "decoder": changed(decoder={"type": "Nothing"}),
        "regex": changed(pre_tokenizer={**bad_regex, "invert": False}),
    }


@pytest.mark.parametrize("name", damaged())
def test_damaged_files_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(damaged()[name])
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        Tokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("data", [b"[", b"[]", b"\xff", b"[" * 100_000, b'{"a": 1e'])
@pytest.mark.parametrize("name", ["tokenizer_config", "special_tokens_map", "added_tokens"])
def test_damaged_side_files_are_refused(name: str, data: bytes, tmp_path: Path) -> None:
    save(tmp_path, words())
    (tmp_path / f"{name}.json").write_bytes(data)
    with pytest.raises(TokenizerError, match=name):
        Tokenizer.from_pretrained(tmp_path)


def test_files_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate((128 << 20) + 1)
    with pytest.raises(TokenizerError, match="larger than"):
        Tokenizer.from_pretrained(tmp_path)


def test_only_gpt2_may_be_read_from_merges() -> None:
    for config in ({"tokenizer_class": "RobertaTokenizer"}, {"tokenizer_class": "CLIPTokenizer"}):
        with pytest.raises(TokenizerError, match=r"may split text otherwise.*tokenizer\.json"):
            Tokenizer(gpt2(**config))
    for damage in (
        {"vocab.json": b"[]"},
        {"vocab.json": b'{"a": "b"}'},
        {"vocab.json": b'{"a": 1'},
        {"merges.txt": b"a b c"},
        {"merges.txt": b"\xff\xfe"},
        {"merges.txt": b"zz yy"},
    ):
        with pytest.raises(TokenizerError):
            Tokenizer({**gpt2(), **damage})
