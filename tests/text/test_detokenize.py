"""Streams: the same text as all at once, no broken character, no growing cost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.text.detokenize import Detokenizer
from tests.text.trained import KINDS, WORDS, pair


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
    text = text.replace("\ufffd", "").replace("é", "")  # byte_level has é as a token of its own
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
