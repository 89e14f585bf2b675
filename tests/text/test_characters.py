"""The character tokenizer: code points, CANINE's own tokenizer, files, streams."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CanineTokenizer

from blocks import Detokenizer, Tokenizer, TokenizerError, character_tokenizer
from tests.text.trained import TEXTS

OURS = character_tokenizer()
TEXT = st.text(max_size=30)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TEXT)
def test_an_id_is_a_code_point(text: str) -> None:
    ids = OURS.encode(text, special=False)
    assert ids == [ord(letter) for letter in text]
    assert OURS.encode(text) == [0xE000, *ids, 0xE001]
    assert OURS.decode(ids, skip_special=False) == text
    detokenizer = Detokenizer(OURS)
    pieces = [*map(detokenizer.push, OURS.encode(text)), detokenizer.flush()]
    assert "".join(pieces) == OURS.decode(OURS.encode(text))


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_canine(text: str) -> None:
    theirs = CanineTokenizer()
    ids = theirs(text).input_ids
    assert OURS.encode(text) == ids
    assert OURS.decode(ids) == theirs.decode(ids, skip_special_tokens=True)


def test_parts() -> None:
    theirs = CanineTokenizer()
    assert OURS.vocab == len(theirs) == 0x110000
    assert (OURS.bos, OURS.eos, OURS.pad, OURS.mask, OURS.unk) == (0xE000, 0xE001, 0, 0xE003, None)
    assert OURS.special_ids == set(theirs.all_special_ids)
    assert OURS.id("é") == 233 and OURS.token(233) == "é" and OURS.id("[CLS]") is None
    with pytest.raises(TokenizerError, match="55296"):
        OURS.decode([0xD800])


def test_files_go_both_ways(tmp_path: Path) -> None:
    CanineTokenizer().save_pretrained(tmp_path / "theirs")
    read = Tokenizer.from_pretrained(tmp_path / "theirs")
    read.save_pretrained(tmp_path / "ours")
    for tokenizer in (read, Tokenizer.from_pretrained(tmp_path / "ours")):
        assert tokenizer.encode("né") == OURS.encode("né")
        assert tokenizer.special_ids == OURS.special_ids and tokenizer.eos == OURS.eos
    OURS.save_pretrained(tmp_path / "own")
    again = CanineTokenizer.from_pretrained(tmp_path / "own")
    assert again("né").input_ids == OURS.encode("né")


@pytest.mark.parametrize(
    "decoder", [{"9": {"content": "a"}}, {"57344": {"content": "<mask>"}}, {"7": {"content": "ab"}}]
)
def test_a_token_that_is_no_character_is_refused(decoder: dict[str, dict[str, str]]) -> None:
    config = {"tokenizer_class": "CanineTokenizer", "added_tokens_decoder": decoder}
    with pytest.raises(TokenizerError, match="code point"):
        Tokenizer({"tokenizer_config.json": json.dumps(config).encode()})


def test_a_part_played_by_no_character_is_refused() -> None:
    config = {"tokenizer_class": "CanineTokenizer", "cls_token": "[CLS]"}
    with pytest.raises(TokenizerError, match="code point"):
        Tokenizer({"tokenizer_config.json": json.dumps(config).encode()})
