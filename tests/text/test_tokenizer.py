"""Tokenizers: the ids and texts of the reference, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from blocks.errors import TokenizerError
from blocks.text.detokenize import Detokenizer
from blocks.text.tokenizer import Tokenizer
from tests.text.trained import KINDS, TEXTS, WORDS, byte_level, gpt2, pair, save, words

PHI = Path(__file__).parents[3] / "shared" / "data" / "hub" / "phi-3-mini"


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


def test_panics_become_errors() -> None:
    backend = words()
    backend.decoder = decoders.Strip("a", 0, 2)
    ours = Tokenizer.from_backend(backend)
    with pytest.raises(BaseException) as caught:
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


def test_ids_are_not_random() -> None:
    backend = byte_level()
    backend.model.dropout = 0.9
    ours, _ = pair("byte_level")
    assert Tokenizer.from_backend(backend).encode(WORDS) == ours.encode(WORDS)
