"""The tokenizer in a GGUF file, against the one that it was made of."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import trainers as train

import blocks
from blocks.errors import TokenizerError
from tests.hub.gguf_bytes import BOOL, F32, I32, LIST, TEXT, U32, file, key

NORMAL, UNKNOWN, CONTROL, OWN, BYTE = 1, 2, 3, 4, 6
TEXTS = [
    "",
    " ",
    "Hello, world! It's 12345 o'clock; DON'T stop... now",
    "  two  leading\n\n\n and \t\tinner  ",
    "你好，世界 😀👩‍👩‍👧 e\u0301 नमस्ते 3.14159",
    "camelCase XMLHttpRequest snake_case a/b\\c\r\n",
    "naïve café — “quoted” …\u00a0x",
]
WORDS = " ".join(TEXTS) + " the quick brown fox jumps over a lazy dog while seven wizards box it"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# By name: what such vocabularies' own tokenizer.json says.
SPLITS = {
    "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA3), "isolated")],
    "qwen2": [pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated")],
    "gpt-2": None,
    "smollm": [pre_tokenizers.Digits(individual_digits=True)],
}


def saved(folder: Path, *keys: bytes) -> Path:
    (folder / "model.gguf").write_bytes(file([key("general.architecture", TEXT, "x"), *keys]))
    return folder / "model.gguf"


def said(name: str, kind: int, given: Any) -> bytes:
    return key(f"tokenizer.ggml.{name}", kind, given)


def byte_level(pre: str) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    steps, level = SPLITS[pre], pre_tokenizers.ByteLevel
    own = [level(add_prefix_space=False, use_regex=steps is None or pre == "smollm")]
    backend.pre_tokenizer = pre_tokenizers.Sequence([*(steps or []), *own])
    special = ["<|end|>", "<|user|>"]
    trainer = train.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=level.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([WORDS] * 3, trainer)
    backend.decoder = decoders.ByteLevel()
    if pre == "llama-bpe":
        backend.post_processor = processors.TemplateProcessing(
            single="<|end|> $A", special_tokens=[("<|end|>", 0)]
        )
    return backend


def of_pairs(folder: Path, backend: tokenizers.Tokenizer, pre: str, *more: bytes) -> Path:
    model = json.loads(backend.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return saved(
        folder,
        said("model", TEXT, "gpt2"),
        said("pre", TEXT, pre),
        said("tokens", LIST, (TEXT, tokens)),
        said("token_type", LIST, (I32, [CONTROL] * 2 + [NORMAL] * (len(tokens) - 2))),
        said("merges", LIST, (TEXT, [" ".join(pair) for pair in model["merges"]])),
        said("bos_token_id", U32, 0),
        said("eos_token_id", U32, 0),
        *more,
    )


@pytest.mark.parametrize("pre", SPLITS)
def test_byte_level_pairs(pre: str, tmp_path: Path) -> None:
    theirs = byte_level(pre)
    ours = blocks.Tokenizer.from_pretrained(of_pairs(tmp_path, theirs, pre))
    for text in [*TEXTS, "a<|user|>b <|end|>"]:
        assert ours.encode(text) == theirs.encode(text).ids, text
        assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text).ids)
    assert (ours.bos, ours.eos, ours.special_ids) == (0, 0, {0, 1})
    assert ours.vocab == theirs.get_vocab_size()
    ours.save_pretrained(tmp_path / "plain")
    again = blocks.Tokenizer.from_pretrained(tmp_path / "plain")
    assert all(again.encode(text) == ours.encode(text) for text in TEXTS)


def test_marks_are_put_where_the_file_says(tmp_path: Path) -> None:
    backend = byte_level("qwen2")
    both = (said("add_bos_token", BOOL, 1), said("add_eos_token", BOOL, 1))
    ours = blocks.Tokenizer.from_pretrained(of_pairs(tmp_path, backend, "qwen2", *both))
    assert ours.encode("the fox") == [0, *backend.encode("the fox").ids, 0]
    none = said("add_bos_token", BOOL, 0)
    backend = byte_level("llama-bpe")
    ours = blocks.Tokenizer.from_pretrained(of_pairs(tmp_path, backend, "llama-bpe", none))
    assert [0, *ours.encode("the fox")] == backend.encode("the fox").ids


def test_chat_templates(tmp_path: Path) -> None:
    plain = "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"
    told = (
        key("tokenizer.chat_template", TEXT, plain),
        key("tokenizer.chat_templates", LIST, (TEXT, ["default", "tool_use"])),
        key("tokenizer.chat_template.tool_use", TEXT, "tools: {{ tools | length }}"),
    )
    ours = blocks.Tokenizer.from_pretrained(of_pairs(tmp_path, byte_level("qwen2"), "qwen2", *told))
    assert ours.chat([{"role": "user", "content": "fox"}])[0] == 1
    assert ours.render([{"role": "user", "content": "fox"}], tools=[{}]) == "tools: 1"


def pieces(**options: Any) -> sentencepiece.SentencePieceProcessor:
    model = io.BytesIO()
    settings: dict[str, Any] = {
        "vocab_size": 400,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "user_defined_symbols": ["<mark>", "  "],
        "control_symbols": ["<|im_start|>"],
        "hard_vocab_limit": False,
        "minloglevel": 2,
        "num_threads": 1,
        "model_type": "bpe",
    }
    words = WORDS.split()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(words[i:] + words[:i]) for i in range(len(words))]),
        model_writer=model,
        **settings | options,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def of_pieces(folder: Path, model: sentencepiece.SentencePieceProcessor, *more: bytes) -> Path:
    ids = range(model.get_piece_size())

    def kind(id: int) -> int:
        if model.is_unknown(id):
            return UNKNOWN
        if model.is_byte(id):
            return BYTE
        own = model.id_to_piece(id) in ("<mark>", "  ", "▁▁")
        return CONTROL if model.is_control(id) else OWN if own else NORMAL

    return saved(
        folder,
        said("model", TEXT, "llama"),
        said("tokens", LIST, (TEXT, [model.id_to_piece(id) for id in ids])),
        said("scores", LIST, (F32, [model.get_score(id) for id in ids])),
        said("token_type", LIST, (I32, [kind(id) for id in ids])),
        said("bos_token_id", U32, model.bos_id()),
        said("eos_token_id", U32, model.eos_id()),
        said("unknown_token_id", U32, model.unk_id()),
        *more,
    )


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece(prefix: bool, tmp_path: Path) -> None:
    theirs = pieces(add_dummy_prefix=prefix)
    more = () if prefix else (said("add_space_prefix", BOOL, 0),)
    ours = blocks.Tokenizer.from_pretrained(of_pieces(tmp_path, theirs, *more))
    for text in [*TEXTS, "in <mark> text"]:
        assert ours.encode(text) == [theirs.bos_id(), *theirs.encode(text)], text
        assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text))
    start = theirs.piece_to_id("<|im_start|>")
    assert ours.encode("<|im_start|>", special=False) == [start]
    assert (ours.bos, ours.eos, ours.unk) == (theirs.bos_id(), theirs.eos_id(), theirs.unk_id())


def test_wordpiece(tmp_path: Path) -> None:
    theirs = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    theirs.normalizer = normalizers.BertNormalizer()
    theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = train.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    theirs.train_from_iterator([WORDS] * 3, trainer)
    theirs.decoder = decoders.WordPiece()
    theirs.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokens = sorted(vocab := theirs.get_vocab(), key=vocab.__getitem__)
    marked = [t if t in special else t[2:] if t.startswith("##") else "▁" + t for t in tokens]
    path = saved(
        tmp_path,
        said("model", TEXT, "bert"),
        said("tokens", LIST, (TEXT, marked)),
        said("token_type", LIST, (I32, [CONTROL] * 5 + [NORMAL] * (len(tokens) - 5))),
        said("cls_token_id", U32, 2),
        said("seperator_token_id", U32, 3),
        said("unknown_token_id", U32, 1),
        said("padding_token_id", U32, 0),
        said("mask_token_id", U32, 4),
    )
    ours = blocks.Tokenizer.from_pretrained(path)
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text).ids
    assert (ours.pad, ours.mask) == (0, 4)


TWO = said("tokens", LIST, (TEXT, ["a", "b"]))
REFUSED = {
    "no tokenizer": ([], "'none': has no tokenizer"),
    "none said": ([said("model", TEXT, "no_vocab")], "has no tokenizer"),
    "another kind": ([said("model", TEXT, "rwkv")], "'rwkv': can't be read"),
    "no tokens": ([said("model", TEXT, "gpt2")], "ggml.tokens: is missing"),
    "tokens of another kind": (
        [said("model", TEXT, "gpt2"), said("tokens", LIST, (I32, [1]))],
        "tokens: ",
    ),
    "fewer kinds than tokens": (
        [said("model", TEXT, "gpt2"), TWO, said("token_type", LIST, (I32, [1]))],
        "has 1 of 2 entries",
    ),
    "no scores": ([said("model", TEXT, "llama"), TWO], "scores: is missing"),
    "fewer scores": (
        [said("model", TEXT, "llama"), TWO, said("scores", LIST, (F32, [0.0]))],
        "has 1 of 2 entries",
    ),
    "scores that are no numbers": (
        [said("model", TEXT, "llama"), TWO, said("scores", LIST, (F32, [0.0, math.nan]))],
        "must be 32-bit floats",
    ),
    "kinds below zero": (
        [said("model", TEXT, "llama"), TWO, said("token_type", LIST, (I32, [1, -1]))],
        "from 0 to 6",
    ),
    "pieces without an unknown one": (
        [said("model", TEXT, "llama"), TWO, said("scores", LIST, (F32, [0.0, 0.0]))],
        "SentencePiece",
    ),
    "no way to split": ([said("model", TEXT, "gpt2"), TWO], "pre: 'default': how text is split"),
    "another way to split": (
        [said("model", TEXT, "gpt2"), TWO, said("pre", TEXT, "qwen22")],
        "did you mean 'qwen2'",
    ),
    "no merges": (
        [said("model", TEXT, "gpt2"), TWO, said("pre", TEXT, "qwen2")],
        "merges: is missing",
    ),
    "a merge of what isn't there": (
        [
            said("model", TEXT, "gpt2"),
            TWO,
            said("pre", TEXT, "qwen2"),
            said("merges", LIST, (TEXT, ["a c"])),
        ],
        "out of vocabulary",
    ),
    "a merge of one": (
        [
            said("model", TEXT, "gpt2"),
            TWO,
            said("pre", TEXT, "qwen2"),
            said("merges", LIST, (TEXT, ["a"])),
        ],
        "is no pair of tokens",
    ),
    "a token twice": (
        [
            said("model", TEXT, "gpt2"),
            said("tokens", LIST, (TEXT, ["a", "a"])),
            said("pre", TEXT, "qwen2"),
            said("merges", LIST, (TEXT, [])),
        ],
        "'a' is there twice",
    ),
    "an end that is no number": (
        [said("model", TEXT, "gpt2"), TWO, said("eos_token_id", TEXT, "a")],
        "eos_token_id: 'a' is odd",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_tokenizer_is_refused(name: str, tmp_path: Path) -> None:
    keys, told = REFUSED[name]
    with pytest.raises(TokenizerError, match=told):
        blocks.Tokenizer.from_pretrained(saved(tmp_path, *keys))
