"""Fill-in-the-middle: the exact inverse, both orders, uniform cuts, what is refused."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks import INFILL, Sentinels, TokenizerError, from_infill, infill_prompt, to_infill

ORDERS = st.sampled_from(["psm", "spm"])
KINDS = st.sampled_from(list(INFILL.values()))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(), st.integers(0, 10**6), ORDERS, KINDS)
def test_the_text_comes_back(text: str, seed: int, order: Any, marks: Sentinels) -> None:
    arranged = to_infill(text, Random(seed), sentinels=marks, order=order)
    assert from_infill(arranged, sentinels=marks) == text
    assert len(arranged) == len(text) + sum(map(len, marks.marks))
    assert to_infill(text, Random(seed), sentinels=marks, order=order) == arranged


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.text("ab<>", max_size=12),
    st.integers(0, 10**6),
    ORDERS,
    st.lists(st.text("ab<>", min_size=1, max_size=3), min_size=4, max_size=4),
)
def test_it_comes_back_or_is_refused(text: str, seed: int, order: Any, marks: list[str]) -> None:
    """Whatever the sentinels: also where one could arise where two parts meet."""
    try:
        sentinels = Sentinels(*marks)
        arranged = to_infill(text, Random(seed), sentinels=sentinels, order=order)
    except TokenizerError:
        return
    assert from_infill(arranged, sentinels=sentinels) == text


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(), st.text(), st.text(), ORDERS, KINDS)
def test_a_filled_prompt_is_a_text(
    prefix: str, middle: str, suffix: str, order: Any, marks: Sentinels
) -> None:
    prompt = infill_prompt(prefix, suffix, sentinels=marks, order=order)
    filled = prompt + middle + marks.end
    assert from_infill(filled, sentinels=marks) == prefix + middle + suffix


def test_orders_are_those_of_the_paper() -> None:
    marks, text = Sentinels("<P>", "<S>", "<M>", "<E>"), "0123456789"
    for seed in range(20):
        psm = to_infill(text, Random(seed), sentinels=marks)
        spm = to_infill(text, Random(seed), sentinels=marks, order="spm")
        head, rest = psm.removeprefix("<P>").split("<S>")
        tail, middle = rest.removesuffix("<E>").split("<M>")
        assert text == head + middle + tail
        assert spm == f"<P><S>{tail}<M>{head}{middle}<E>"


def test_cuts_are_uniform_and_parts_may_be_empty() -> None:
    random, marks = Random(0), INFILL["starcoder"]
    draws: Counter[tuple[int, int]] = Counter()
    for _ in range(8000):
        arranged = to_infill("abc", random)
        head, rest = arranged.removeprefix(marks.prefix).split(marks.suffix)
        draws[len(head), 3 - len(rest.split(marks.middle)[0])] += 1
    assert len(draws) == 10
    for (a, b), count in draws.items():
        wanted = 8000 / 16 * (1 if a == b else 2)
        assert abs(count - wanted) < 6 * wanted**0.5
    assert from_infill(to_infill("", random)) == ""


def test_rate_is_the_share_that_is_rearranged() -> None:
    random = Random(0)
    changed = sum(to_infill("abc", random, rate=0.3) != "abc" for _ in range(4000))
    assert abs(changed - 1200) < 6 * (4000 * 0.3 * 0.7) ** 0.5
    assert to_infill("abc", random, rate=0.0) == "abc" == from_infill("abc")
    with pytest.raises(TokenizerError, match="fim_suffix"):
        to_infill("a<fim_suffix>", random, rate=0.0)


@pytest.mark.parametrize("mark", INFILL["codellama"].marks)
@pytest.mark.parametrize("order", ["psm", "spm"])
def test_a_text_with_a_sentinel_is_refused(mark: str, order: Any) -> None:
    for seed in range(10):  # three of them, since two cuts may fall into two
        with pytest.raises(TokenizerError, match=mark):
            to_infill(mark * 3, Random(seed), sentinels=INFILL["codellama"], order=order)


BAD = [
    "<fim_prefix>a<fim_suffix>b",
    "<fim_prefix>a<fim_middle>b",
    "a<fim_prefix>b<fim_suffix>c<fim_middle>d",
    "<fim_prefix>a<fim_middle>b<fim_suffix>c",
    "<fim_suffix>a<fim_prefix>b<fim_middle>c",
    "<fim_prefix>a<fim_suffix>b<fim_middle>c<fim_middle>",
    "<fim_prefix>" * 2 + "a<fim_suffix>b<fim_middle>c",
]


@pytest.mark.parametrize("arranged", BAD)
def test_a_broken_arrangement_is_refused(arranged: str) -> None:
    with pytest.raises(TokenizerError, match="fim_"):
        from_infill(arranged)


def test_an_end_must_be_at_the_end() -> None:
    marks = Sentinels("<P>", "<S>", "<M>", "<E>")
    for arranged in ("<P>a<S>b<M>c", "<P>a<S>b<M>c<E>d"):
        with pytest.raises(TokenizerError):
            from_infill(arranged, sentinels=marks)


@pytest.mark.parametrize(
    "marks",
    [("", "b", "c"), ("a", "a", "c"), ("a", "ab", "c"), ("a", "b", "c", "xbx"), (1, "b", "c")],
)
def test_bad_sentinels(marks: Any) -> None:
    with pytest.raises(TokenizerError, match="Sentinels"):
        Sentinels(*marks)


@pytest.mark.parametrize("how", [{"order": "mps"}, {"rate": 1.5}, {"rate": -0.1}])
def test_bad_options(how: Any) -> None:
    with pytest.raises(TokenizerError, match=next(iter(how))):
        to_infill("abc", Random(0), **how)
