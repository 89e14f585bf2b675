"""Tokenizers: the ids and texts of the reference, streaming, saving, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import trainers as train
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from blocks.errors import HubError, TokenizerError
from blocks.hub.detokenize import Detokenizer
from blocks.hub.tokenizer import Tokenizer

PHI = Path(__file__).parents[3] / "shared" / "data" / "hub" / "phi-3-mini"
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_ids_and_texts_are_those_of_the_library(kind: str, text: str) -> None:
    ours, theirs = pair(kind)
    for special in (True, False):
        ids = theirs.encode(text, add_special_tokens=special).ids
        assert ours.encode(text, special=special) == ids
        for skip in (True, False):
            assert ours.decode(ids, skip_special=skip) == theirs.decode(
                ids, skip_special_tokens=skip
            )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_streams_join_to_the_text(kind: str, data: st.DataObject) -> None:
    ours, _ = pair(kind)
    known = [id for id in range(ours.vocab) if ours.token(id) is not None]
    ids = data.draw(st.lists(st.sampled_from(known), max_size=14))
    skip = data.draw(st.booleans())
    detokenizer = Detokenizer(ours, skip_special=skip)
    for _ in range(2):  # a flush makes it new
        pieces = [*map(detokenizer.push, ids), detokenizer.flush()]
        assert "".join(pieces) == ours.decode(ids, skip_special=skip)


@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(text=st.text(max_size=20))
def test_streams_of_any_text_never_break_a_character(kind: str, text: str) -> None:
    ours, _ = pair(kind)
    text = text.replace("\ufffd", "")
    ids = ours.encode(text, special=False)
    detokenizer = Detokenizer(ours, skip_special=False)
    pieces = [*map(detokenizer.push, ids), detokenizer.flush()]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_streams_say_what_is_certain_at_once() -> None:
    ours, _ = pair("byte_level")
    detokenizer = Detokenizer(ours)
    ids = ours.encode("the fox 😀!")
    pieces = list(map(detokenizer.push, ids))
    assert pieces[-1] == "!"
    assert "".join(pieces) == "the fox 😀!"
    for kind in ("word_piece", "unigram", "words", "suffixed"):
        ours, _ = pair(kind)
        ids = ours.encode("the lazy dog", special=False)
        detokenizer = Detokenizer(ours)
        assert "".join(map(detokenizer.push, ids)) == ours.decode(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_streams_cost_the_same_for_every_token(kind: str) -> None:
    ours, _ = pair(kind)
    decode, seen = ours.engine.decode, [0]

    def counting(ids: list[int], skip: bool) -> str:
        seen[0] += len(ids)
        return decode(ids, skip)

    ids = ours.encode(WORDS + " 😀😀 " + "\ufffd" * 30, special=False) * 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours.engine, "decode", counting)
        detokenizer = Detokenizer(ours)
        for id in ids:
            detokenizer.push(id)
        detokenizer.flush()
    assert seen[0] <= 6 * len(ids) + 6


def test_public_tokenizer() -> None:
    if not PHI.exists():
        pytest.skip("the public tokenizer is not here")
    ours = Tokenizer.from_pretrained(PHI)
    theirs = tokenizers.Tokenizer.from_file(str(PHI / "tokenizer.json"))
    assert (ours.vocab, ours.bos, ours.eos, ours.pad, ours.unk) == (32011, 1, 32000, 32000, 0)
    assert ours.special_ids == {0, 1, *range(32000, 32011)}
    for text in TEXTS:
        ids = theirs.encode(text).ids
        assert ours.encode(text) == ids
        assert ours.decode(ids) == theirs.decode(ids)
        detokenizer = Detokenizer(ours)
        assert "".join([*map(detokenizer.push, ids), detokenizer.flush()]) == ours.decode(ids)
    chat = ours.chat([{"role": "user", "content": "Hello"}])
    assert chat == theirs.encode("<|user|>\nHello<|end|>\n<|assistant|>\n").ids
    assert chat[0] == 32010


def save(folder: Path, backend: tokenizers.Tokenizer, **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(backend.to_str())
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


EOS = {"__type": "AddedToken", "content": "</s>", "special": True}
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|user|>{{ m.content }}{{ eos_token }}{% endfor %}"
)


def test_chats_equal_those_of_the_reference(tmp_path: Path) -> None:
    config = {"bos_token": "<s>", "eos_token": EOS, "chat_template": TEMPLATE}
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    folder = save(tmp_path, byte_level(), tokenizer_config=config)
    ours, theirs = Tokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    chat = [{"role": "user", "content": " hé 你 <s>"}, {"role": "assistant", "content": "x"}]
    assert ours.render(chat) == theirs.apply_chat_template(chat, tokenize=False)
    assert ours.chat(chat) == theirs.apply_chat_template(chat, return_dict=False)
    assert ours.chat(chat).count(ours.bos) == 2  # its own, and the one in the message
    for text in TEXTS:
        assert ours.encode(text) == theirs(text).input_ids
        ids = ours.encode(text)
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)


def test_variables_reach_the_template(tmp_path: Path) -> None:
    ours = Tokenizer.from_backend(byte_level(), eos="</s>", chat_template="{{ a }}{{ eos_token }}")
    chat = [{"role": "user", "content": "x"}]
    assert ours.render(chat, a="é") == "é</s>"
    assert ours.render(chat, a=1, eos_token="!") == "1!"
    assert ours.render(chat, template="{{ tools[0].name }}", tools=[{"name": "f"}]) == "f"
    for tools in ("x", [1], {"name": "f"}):
        with pytest.raises(TokenizerError, match="tools"):
            ours.render(chat, tools=tools)  # pyright: ignore[reportArgumentType] that is the test


def test_parts_and_special_tokens(tmp_path: Path) -> None:
    backend = byte_level()
    new = backend.get_vocab_size()
    config = {
        "eos_token": {"content": "</s>", "lstrip": False},
        "pad_token": "<|plain one|>",
        "added_tokens_decoder": {str(new): {"content": "<|new|>", "special": True}},
        "additional_special_tokens": ["é", "<absent>"],
    }
    special = {"bos_token": "<s>", "eos_token": "<s>", "unk_token": "<absent>"}
    save(tmp_path, backend, tokenizer_config=config, special_tokens_map=special)
    ours = Tokenizer.from_pretrained(tmp_path)
    assert (ours.bos, ours.eos, ours.pad, ours.unk) == (0, 1, new - 1, None)
    assert ours.special_ids == {0, 1, 2, new - 1, new, backend.token_to_id("é")}
    assert (ours.vocab, ours.id("<|new|>"), ours.token(new)) == (new + 1, new, "<|new|>")
    assert (ours.id("<absent>"), ours.token(new + 1), ours.token(-1)) == (None, None, None)
    assert ours.decode(ours.encode("a<|plain one|> <|new|>b")) == "ab"
    config["added_tokens_decoder"] = {str(new + 1): {"content": "<|new|>"}}
    save(tmp_path, backend, tokenizer_config=config)
    with pytest.raises(TokenizerError, match=rf"no token '<.new.>'.*id {new + 1}"):
        Tokenizer.from_pretrained(tmp_path)


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


def test_wrapped_tokenizers_load_in_the_reference(tmp_path: Path) -> None:
    ours = Tokenizer.from_backend(
        byte_level(), bos="<s>", eos="</s>", pad="</s>", chat_template=TEMPLATE
    )
    ours.save_pretrained(tmp_path)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (0, 1, 1)
    assert (ours.bos, ours.eos, ours.pad, ours.unk) == (0, 1, 1, None)
    assert theirs("hé").input_ids == ours.encode("hé")
    with pytest.raises(TokenizerError, match="eos.*not in the vocabulary"):
        Tokenizer.from_backend(byte_level(), eos="<nothing>")


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


def test_vocabulary_and_merges(tmp_path: Path) -> None:
    for name, data in gpt2(tokenizer_class="GPT2Tokenizer").items():
        (tmp_path / name).write_bytes(data)
    ours, theirs = Tokenizer.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    for text in [*TEXTS, "a<|endoftext|> b"]:
        assert ours.encode(text) == theirs(text).input_ids
        ids = ours.encode(text)
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
    assert ours.bos == ours.eos == ours.unk == theirs.eos_token_id == ours.vocab - 1
    ours.save_pretrained(tmp_path / "saved")
    again = Tokenizer.from_pretrained(tmp_path / "saved")
    assert sorted(p.name for p in (tmp_path / "saved").iterdir()) == [
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert again.encode(WORDS) == ours.encode(WORDS)
    front = Tokenizer(gpt2(tokenizer_class="GPT2Tokenizer", add_bos_token=True))
    assert front.encode("a") == [front.bos, *ours.encode("a")]


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


def test_panics_become_errors() -> None:
    backend = words()
    backend.decoder = decoders.Strip("a", 0, 2)
    ours = Tokenizer.from_backend(backend)
    with pytest.raises(BaseException) as caught:  # noqa: B017 a panic is no Exception
        tokenizers.decoders.Strip("a", 0, 2).decode(["a"])
    assert not isinstance(caught.value, Exception)
    with pytest.raises(TokenizerError, match="decoding failed"):
        ours.decode(ours.encode("a"))
    assert ours.encode("fox") == [ours.id("fox")]


@pytest.mark.parametrize("text", [None, 5, b"bytes", ["a"], "half \ud83d"])
def test_only_text_is_encoded(text: Any) -> None:
    ours, _ = pair("byte_level")
    with pytest.raises(TokenizerError, match="^text"):
        ours.encode(text)


@pytest.mark.parametrize(
    "ids", [None, 5, "12", {1: 2}, [1.0], ["a"], [[1]], [-1], [10**6], [1 << 70], [None]]
)
def test_only_known_ids_are_decoded(ids: Any) -> None:
    ours, _ = pair("byte_level")
    with pytest.raises(TokenizerError, match="^ids"):
        ours.decode(ids)
    if isinstance(ids, list):
        with pytest.raises(TokenizerError, match="^ids"):
            Detokenizer(ours).push(ids[0])


def test_ids_come_in_many_forms() -> None:
    import numpy
    import torch

    ours, _ = pair("byte_level")
    ids = ours.encode("the fox")
    for form in (
        tuple(ids),
        iter(ids),
        numpy.array(ids),
        torch.tensor(ids),
        list(numpy.array(ids)),
    ):
        assert ours.decode(form) == "the fox"
