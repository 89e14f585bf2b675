"""Small tokenizers of every kind, trained on one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import trainers as train

from blocks.text.tokenizer import Tokenizer

WORDS = "the quick brown fox's jumps over a lazy dog, while seven (7) wizards don't box it up."
TEXTS = [
    "",
    " ",
    "  two  leading and  inner ",
    "The quick brown fox don't stop . now !",
    "你好，世界 😀👩‍👩‍👧 e\u0301 नमस्ते",
    "tabs\tand\nlines\r\n\n",
    "<s>special</s> in <|user|> text<s>",
    "a\ufffd\ufffd\u200b\u00a0b \x00",
    "🏳️‍🌈" * 5,
]


def trained(model: Any, trainer: Any, *, start: Any = None) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = start or pre_tokenizers.Whitespace()
    backend.train_from_iterator([WORDS] * 3, trainer)
    return backend


def byte_level() -> tokenizers.Tokenizer:
    backend = trained(
        models.BPE(),
        train.BpeTrainer(
            vocab_size=330,
            special_tokens=["<s>", "</s>", "<|user|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
        start=pre_tokenizers.ByteLevel(add_prefix_space=False),
    )
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    # The second is a letter of the byte alphabet, and decodes as that byte.
    backend.add_tokens([AddedToken("<|plain one|>", rstrip=True), AddedToken("é")])
    return backend


def word_piece() -> tokenizers.Tokenizer:
    backend = trained(
        models.WordPiece(unk_token="[UNK]"),
        train.WordPieceTrainer(
            vocab_size=120, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False
        ),
    )
    backend.normalizer = normalizers.Lowercase()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return backend


def byte_fallback() -> tokenizers.Tokenizer:
    pieces = [f"<0x{b:02X}>" for b in range(256)]
    pieces += ["<unk>", "<s>", "▁", "▁▁", *"abcdefghijklmnopqrstuvwxyz", "▁th", "th"]
    vocab = {piece: id for id, piece in enumerate(pieces)}
    backend = tokenizers.Tokenizer(
        models.BPE(vocab, [("t", "h"), ("▁", "th"), ("▁", "▁")], byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(["<s>", "<unk>"])
    return backend


def unigram() -> tokenizers.Tokenizer:
    backend = trained(
        models.Unigram(),
        train.UnigramTrainer(
            vocab_size=90, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
        ),
        start=pre_tokenizers.Metaspace(),
    )
    backend.decoder = decoders.Metaspace()
    return backend


def suffixed() -> tokenizers.Tokenizer:
    backend = trained(
        models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
        train.BpeTrainer(
            vocab_size=120,
            special_tokens=["<unk>", "<s>"],
            end_of_word_suffix="</w>",
            show_progress=False,
        ),
    )
    backend.decoder = decoders.BPEDecoder()
    return backend


def words() -> tokenizers.Tokenizer:
    return trained(
        models.WordLevel(unk_token="?"),
        train.WordLevelTrainer(special_tokens=["?", "<s>"], show_progress=False),
    )


def odd_decoder() -> tokenizers.Tokenizer:
    backend = byte_fallback()
    backend.decoder = decoders.Sequence([decoders.Fuse(), decoders.Replace("▁th", "(the)")])
    return backend


KINDS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    f.__name__: f
    for f in (byte_level, word_piece, byte_fallback, unigram, suffixed, words, odd_decoder)
}


@cache
def pair(kind: str) -> tuple[Tokenizer, tokenizers.Tokenizer]:
    backend = KINDS[kind]()
    backend.enable_truncation(3)
    backend.enable_padding(length=9)
    ours = Tokenizer.from_backend(backend)
    backend.no_truncation()
    backend.no_padding()
    return ours, backend


def save(folder: Path, backend: tokenizers.Tokenizer, **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(backend.to_str())
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def gpt2(**config: Any) -> dict[str, bytes]:
    backend = trained(
        models.BPE(),
        train.BpeTrainer(
            vocab_size=330,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
        start=pre_tokenizers.ByteLevel(add_prefix_space=False),
    )
    model = json.loads(backend.to_str())["model"]
    merges = "\n".join(["#version: 0.2", *map(" ".join, model["merges"]), ""])
    vocab = {**model["vocab"], "<|endoftext|>": len(model["vocab"])}
    files = {"vocab.json": json.dumps(vocab).encode(), "merges.txt": merges.encode()}
    return {**files, **({"tokenizer_config.json": json.dumps(config).encode()} if config else {})}
