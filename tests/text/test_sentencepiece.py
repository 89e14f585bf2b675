"""tokenizer.model: SentencePiece's own ids and text, with what side files add."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import TokenizerError
from blocks.text.detokenize import Detokenizer
from blocks.text.tokenizer import Tokenizer

WORDS = "the quick brown fox jumps over a lazy dog while seven wizards quietly boxed it up again"
TEXTS = [
    "",
    " ",
    "   two  leading and  inner ",
    "The quick brown fox",
    "你好，世界 😀👩‍👩‍👧 e\u0301 नमस्ते",
    "tabs\tand\nlines\r\n\n",
    "<s> not </s> special <unk> ▁ <0x41> <mark>user<sep>",
    "a\ufffd\u200b\u00a0b",
]
SETTINGS: dict[str, dict[str, Any]] = {
    "bpe": {"model_type": "bpe"},
    "unigram": {"model_type": "unigram"},
    "no prefix": {"model_type": "bpe", "add_dummy_prefix": False},
    "spaces removed": {"model_type": "unigram", "remove_extra_whitespaces": True},
    "spaces removed, no prefix": {
        "model_type": "bpe",
        "remove_extra_whitespaces": True,
        "add_dummy_prefix": False,
    },
    "no bytes": {"model_type": "unigram", "byte_fallback": False, "vocab_size": 120},
    "nfkc": {"model_type": "bpe", "normalization_rule_name": "nmt_nfkc"},
    "bare": {"model_type": "bpe", "bos_id": -1, "eos_id": -1, "pad_id": 3},
}


def train(**options: Any) -> bytes:
    model = io.BytesIO()
    defaults: dict[str, Any] = {
        "vocab_size": 400,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "user_defined_symbols": ["<mark>", "  "],
        "control_symbols": ["<sep>"],
        "hard_vocab_limit": False,
        "minloglevel": 2,
        "num_threads": 1,
    }
    words = WORDS.split()
    sentences = [" ".join(words[i:] + words[:i]) for i in range(len(words))] * 3
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, **{**defaults, **options}
    )
    return model.getvalue()


MODELS = {name: train(**options) for name, options in SETTINGS.items()}


def build(name: str = "bpe", **files: Any) -> tuple[Tokenizer, Any]:
    contents = {f"{file}.json": json.dumps(value).encode() for file, value in files.items()}
    model = sentencepiece.SentencePieceProcessor(model_proto=MODELS[name])
    return Tokenizer({"tokenizer.model": MODELS[name], **contents}), model


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_sentencepiece(name: str, text: str) -> None:
    ours, theirs = build(name)
    assert ours.encode(text, special=False) == theirs.encode(text)
    assert ours.encode(text) == theirs.encode(text, add_bos=theirs.bos_id() >= 0)
    assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text))


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_ids_decode_as_sentencepiece_does(name: str, data: st.DataObject) -> None:
    ours, theirs = build(name)
    bytes_ids = [i for i in range(ours.vocab) if theirs.is_byte(i)]
    some = st.integers(0, ours.vocab - 1) | st.sampled_from(bytes_ids or [0])
    ids = data.draw(st.lists(some, max_size=12))
    assert ours.decode(ids) == theirs.decode(ids)
    detokenizer = Detokenizer(ours)
    assert "".join([*map(detokenizer.push, ids), detokenizer.flush()]) == theirs.decode(ids)


def test_marks_at_both_ends_follow_the_configuration() -> None:
    plain = build()[0].encode("the fox", special=False)
    for bos, eos, config in [
        (True, False, {}),
        (False, False, {"add_bos_token": False}),
        (True, True, {"add_eos_token": True}),
        (False, True, {"add_bos_token": False, "add_eos_token": True}),
    ]:
        tokenizer = build(tokenizer_config=config)[0]
        want = [1] * bos + plain + [2] * eos
        assert tokenizer.encode("the fox") == want
        assert tokenizer.encode("the fox", special=False) == plain


def test_parts_come_from_the_model_and_side_files() -> None:
    tokenizer, model = build()
    assert (tokenizer.bos, tokenizer.eos, tokenizer.unk, tokenizer.pad) == (1, 2, 0, None)
    assert tokenizer.special_ids == {1, 2, model.piece_to_id("<sep>")}
    bare = build("bare")[0]
    assert (bare.bos, bare.eos, bare.pad) == (None, None, 3)
    named = build(
        tokenizer_config={"eos_token": "<sep>", "pad_token": {"content": "</s>"}},
        special_tokens_map={"eos_token": "<s>", "unk_token": "<unk>"},
    )[0]
    assert named.eos == model.piece_to_id("<sep>")
    assert (named.pad, named.unk, named.bos) == (2, 0, 1)
    assert named.special_ids >= {0, 2}


ADDED = {
    "added_tokens_decoder": {
        "1": {"content": "<s>", "special": True},
        "2": {"content": "</s>", "special": True},
        "400": {"content": "<|end|>", "special": True},
        "401": {"content": "<tool>", "special": False, "lstrip": True, "rstrip": True},
        "403": {"content": "<|end|>+", "special": False},
    },
    "bos_token": "<s>",
    "eos_token": "</s>",
}


def with_added(**config: Any) -> tuple[Tokenizer, Any]:
    tokenizer, model = build(tokenizer_config={**ADDED, **config}, added_tokens={"<extra>": 404})
    assert model.get_piece_size() <= 400
    return tokenizer, model


def test_added_tokens_are_found_in_text() -> None:
    tokenizer, model = with_added()
    assert tokenizer.vocab == 405
    assert (tokenizer.id("<|end|>"), tokenizer.token(401), tokenizer.token(402)) == (
        400,
        "<tool>",
        None,
    )
    ids = tokenizer.encode("the fox<|end|> lazy <tool> dog<|end|>+<extra></s>", special=False)
    assert ids[:3] == [*model.encode("the fox"), 400]
    assert [tokenizer.token(id) for id in ids if id in (401, 403, 404)] == [
        "<tool>",
        "<|end|>+",
        "<extra>",
    ]
    between = ids[3 : ids.index(401)], ids[ids.index(401) + 1 : ids.index(403)]
    assert ["".join(map(model.id_to_piece, some)) for some in between] == ["▁lazy", "dog"]
    assert ids[-1] == 2
    assert tokenizer.decode(ids) == "the fox lazy<tool>dog<|end|>+<extra>"
    assert tokenizer.decode(ids, skip_special=False).endswith("lazy<tool>dog<|end|>+<extra></s>")


def test_legacy_prefixes_every_stretch() -> None:
    tokenizer, model = with_added(legacy=True)
    ids = tokenizer.encode("fox<|end|>dog", special=False)
    assert ids == [*model.encode("fox"), 400, *model.encode("dog")]


def test_streams_with_special_tokens() -> None:
    tokenizer, _ = with_added()
    ids = tokenizer.encode("<s> the 你<|end|> 😀 fox<tool>x</s>")
    for skip in (True, False):
        detokenizer = Detokenizer(tokenizer, skip_special=skip)
        for _ in range(2):  # a flush makes it new
            pieces = [*map(detokenizer.push, ids), detokenizer.flush()]
            assert "".join(pieces) == tokenizer.decode(ids, skip_special=skip)
            assert not any("\ufffd" in piece for piece in pieces)


def test_saves_what_it_read(tmp_path: Path) -> None:
    tokenizer, _ = with_added()
    (tmp_path / "tokenizer.json").write_text("stale")
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.model").read_bytes() == MODELS["bpe"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "added_tokens.json",
        "tokenizer.model",
        "tokenizer_config.json",
    ]
    again = Tokenizer.from_pretrained(tmp_path)
    text = "the <tool> fox<extra>你"
    assert again.encode(text) == tokenizer.encode(text)
    assert again.special_ids == tokenizer.special_ids


def test_damaged_models_are_refused() -> None:
    for data in (b"", b"\x00" * 100, MODELS["bpe"][:500], b"{}", b"\x0a\xff\xff\xff\xff\x0f"):
        with pytest.raises(TokenizerError, match=r"tokenizer\.model"):
            Tokenizer({"tokenizer.model": data})


@pytest.mark.parametrize(
    "files",
    [
        {"added_tokens": {"<x>": -1}},
        {"added_tokens": {"<x>": 1 << 40}},
        {"added_tokens": {"<x>": "many"}},
        {"added_tokens": [1]},
        {"tokenizer_config": {"added_tokens_decoder": {"x": {"content": "<x>"}}}},
        {"tokenizer_config": {"added_tokens_decoder": {"500": 5}}},
        {"tokenizer_config": {"added_tokens_decoder": {"500": {"content": ""}}}},
        {"tokenizer_config": {"added_tokens_decoder": [1]}},
        {"tokenizer_config": {"bos_token": 5}},
        {"special_tokens_map": {"eos_token": {"text": "x"}}},
    ],
)
def test_damaged_side_files_are_named(files: dict[str, Any]) -> None:
    with pytest.raises(TokenizerError, match=next(iter(files))):
        build(**files)
