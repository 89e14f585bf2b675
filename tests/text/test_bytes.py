"""The byte tokenizer: ids by arithmetic, ByT5's own tokenizer, bad UTF-8, streams, files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ByT5Tokenizer

from blocks import Detokenizer, Tokenizer, TokenizerError, byte_tokenizer
from tests.text.trained import TEXTS

EXTRA = tuple(f"<extra_id_{n}>" for n in range(125))
BYT5 = byte_tokenizer(after=EXTRA)
PLAIN = byte_tokenizer(pad=None, eos=None, unk=None)
TEXT = st.text(max_size=30)


def twin(ids: list[int], offset: int) -> str:
    return bytes(i - offset for i in ids if offset <= i < offset + 256).decode(errors="replace")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TEXT)
def test_an_id_is_a_byte_and_an_offset(text: str) -> None:
    data = text.encode()
    assert PLAIN.encode(text) == list(data)
    assert BYT5.encode(text) == [b + 3 for b in data] + [1]
    assert BYT5.encode(text, special=False) == [b + 3 for b in data]
    assert PLAIN.decode(list(data)) == text == BYT5.decode(BYT5.encode(text))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=20))
def test_bytes_that_are_no_text(data: bytes) -> None:
    wanted = data.decode(errors="replace")
    assert PLAIN.decode(list(data)) == wanted
    assert BYT5.decode([b + 3 for b in data]) == wanted


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 383), max_size=20), st.booleans())
def test_streams_join_to_the_text(ids: list[int], skip: bool) -> None:
    detokenizer = Detokenizer(BYT5, skip_special=skip)
    pieces = [*map(detokenizer.push, ids), detokenizer.flush()]
    assert "".join(pieces) == BYT5.decode(ids, skip_special=skip)
    if skip:
        assert "".join(pieces) == twin(ids, 3)


def test_tokens_in_another_order() -> None:
    """Those of the Byte Latent Transformer: 0 to 3, then the bytes."""
    order = ("<boe>", "<s>", "</s>", "<pad>")
    tokenizer = byte_tokenizer(unk=None, bos="<s>", before=order, ends=False)
    assert (tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.vocab) == (1, 2, 3, 260)
    assert tokenizer.encode("né") == [1, *(byte + 4 for byte in "né".encode())]
    assert tokenizer.decode([1, 114, 199, 173, 2]) == "né"
    assert tokenizer.id("<boe>") == 0 and tokenizer.unk is None
    with pytest.raises(TokenizerError, match="'<unk>' is not among"):
        byte_tokenizer(before=("</s>", "<pad>"))


def test_a_stream_never_breaks_a_character() -> None:
    detokenizer = Detokenizer(PLAIN)
    assert [detokenizer.push(id) for id in "a😀".encode()] == ["a", "", "", "", "😀"]


# Theirs also takes the spaces beside a special token's string away; ours loses nothing.
@pytest.mark.parametrize("text", [text for text in TEXTS if "</s>" not in text])
def test_ids_are_those_of_byt5(text: str) -> None:
    theirs = ByT5Tokenizer()
    assert BYT5.encode(text) == theirs(text).input_ids
    assert BYT5.vocab == len(theirs) == 384
    special = [theirs.pad_token_id, theirs.eos_token_id, theirs.unk_token_id]
    assert [BYT5.pad, BYT5.eos, BYT5.unk] == special == [0, 1, 2]
    assert BYT5.id("<extra_id_0>") == theirs.convert_tokens_to_ids("<extra_id_0>")
    assert BYT5.special_ids == set(theirs.all_special_ids)


def test_special_tokens_in_a_text() -> None:
    ids = BYT5.encode("a</s>b<extra_id_7>", special=False)
    assert ids == [100, 1, 101, 266]
    assert BYT5.decode(ids) == "ab" and BYT5.decode(ids, skip_special=False) == "a</s>b<extra_id_7>"
    assert PLAIN.encode("</s>") == list(b"</s>")


def test_parts() -> None:
    assert (PLAIN.vocab, PLAIN.bos, PLAIN.eos, PLAIN.pad, PLAIN.unk) == (256, *[None] * 4)
    assert PLAIN.special_ids == frozenset()
    ours = byte_tokenizer(pad=None, unk=None, bos="<s>")
    assert ours.encode("a") == [1, 99, 0] and ours.decode([1, 99, 0]) == "a"
    assert (ours.eos, ours.bos, ours.vocab) == (0, 1, 258)
    first = byte_tokenizer(pad=None, eos=None, unk=None, bos="<s>")
    assert first.encode("a") == [0, 98]


@pytest.mark.parametrize("ours", [BYT5, PLAIN], ids=["byt5", "plain"])
def test_files_give_it_back(ours: Tokenizer, tmp_path: Path) -> None:
    ours.save_pretrained(tmp_path)
    again = Tokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert again.encode(text) == ours.encode(text)
        assert again.decode(ours.encode(text)) == ours.decode(ours.encode(text))
    assert (again.eos, again.pad, again.vocab) == (ours.eos, ours.pad, ours.vocab)


def test_ids_it_has_not() -> None:
    with pytest.raises(TokenizerError, match="256"):
        PLAIN.decode([256])
    with pytest.raises(TokenizerError, match="surrogate"):
        PLAIN.encode("\ud800")


@pytest.mark.parametrize(
    "how", [{"pad": ""}, {"pad": "</s>"}, {"bos": "a"}, {"after": ("<x>", "<x>")}, {"eos": 3}]
)
def test_bad_names(how: dict[str, Any]) -> None:
    with pytest.raises(TokenizerError, match="special token"):
        byte_tokenizer(**how)


def test_a_long_text_takes_no_square() -> None:
    text = "näive " * 50_000
    assert len(PLAIN.encode(text)) == len(text.encode())


NAMED = {"content": "</s>", "lstrip": False, "rstrip": False, "__type": "AddedToken"}
OLDER: list[dict[str, Any]] = [
    {},
    {"extra_ids": 125, "additional_special_tokens": list(EXTRA)},
    {"extra_ids": 3},
    {"extra_ids": 0},
    {"eos_token": NAMED, "pad_token": NAMED | {"content": "<pad>"}},
    {"eos_token": "<end>", "extra_ids": 2},
]


def same_as_theirs(folder: Path) -> None:
    ours, theirs = Tokenizer.from_pretrained(folder), ByT5Tokenizer.from_pretrained(folder)
    assert ours.vocab == len(theirs)
    assert [ours.pad, ours.eos, ours.unk] == [0, 1, 2] and ours.special_ids >= {0, 1, 2}
    end = ours.token(1)
    texts = (
        *TEXTS,
        f"a {end} b",
        " <pad> <unk>x ",
        "a<extra_id_0> b <extra_id_124>c",
        "<extra_id_2>",
    )
    for text in texts:
        ids = theirs(text, add_special_tokens=False).input_ids
        assert ours.encode(text, special=False) == ids
        assert ours.encode(text + "z") == theirs(text + "z").input_ids
        shown = theirs.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert ours.decode(ids, skip_special=False) == shown
        assert ours.decode(ours.encode(text)) == theirs.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("config", OLDER)
def test_byt5_from_its_config_alone(config: dict[str, Any], tmp_path: Path) -> None:
    told = {"tokenizer_class": "ByT5Tokenizer"} | config
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    same_as_theirs(tmp_path)


def test_byt5_as_transformers_saves_it(tmp_path: Path) -> None:
    ByT5Tokenizer().save_pretrained(tmp_path)
    same_as_theirs(tmp_path)
    Tokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "again")
    again, ours = (Tokenizer.from_pretrained(at) for at in (tmp_path / "again", tmp_path))
    text = "a </s> b<extra_id_3>"
    assert again.encode(text) == ours.encode(text) and again.vocab == 384


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"extra_ids": -1}, "extra_ids"),
        ({"extra_ids": "9"}, "extra_ids"),
        ({"extra_ids": 10**9}, "extra_ids"),
        ({"added_tokens_decoder": {"5": {"content": "<pad>"}}}, "added_tokens_decoder"),
        ({"added_tokens_decoder": {"300": {"content": "<x>"}}}, "added_tokens_decoder"),
    ],
)
def test_a_byt5_config_that_cannot_be(config: dict[str, Any], field: str, tmp_path: Path) -> None:
    told = {"tokenizer_class": "ByT5Tokenizer"} | config
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    with pytest.raises(TokenizerError) as caught:
        Tokenizer.from_pretrained(tmp_path)
    assert caught.value.field == field
