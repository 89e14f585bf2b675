"""Each rule of generation is what a list of its text's tokens says, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import blocks
from blocks import Draft
from blocks.generation.prompt import read_prompt
from blocks.generation.rulebook import KINDS
from tests.twins import samplers

VOCAB, MOST = 7, 4
TOKEN = st.integers(0, VOCAB - 1)
TEXT = st.lists(TOKEN, min_size=1, max_size=8)
SOME = st.lists(TOKEN, max_size=3).map(tuple)
WORDS = st.lists(st.lists(TOKEN, min_size=1, max_size=3).map(tuple), max_size=6).map(tuple)
COUNT = st.integers(0, 9)

# What a rule is given, and what it says of one text: (scores, text, case, *arguments) -> scores.
Said = Callable[..., samplers.Scores]
RULES: dict[str, tuple[tuple[Any, ...], Said]] = {
    "RepetitionPenalty": (
        (st.sampled_from([0.5, 1.0, 1.3, 7.0]),),
        lambda s, text, case, penalty: samplers.repetition_penalty(s, text, penalty),
    ),
    "NoRepeatNGram": (
        (st.integers(0, 4),),
        lambda s, text, case, size: samplers.no_run_of(s, text, text, size),
    ),
    "NoSourceNGram": (
        (st.integers(0, 4),),
        lambda s, text, case, size: samplers.no_run_of(s, text, text[: case["begun"]], size),
    ),
    "BadWords": (
        (WORDS,),
        lambda s, text, case, words: samplers.bad_words(s, text, words, case["ends"]),
    ),
    "MinLength": (
        (COUNT,),
        lambda s, text, case, n: samplers.without(s, case["ends"]) if len(text) < n else s,
    ),
    "MinNewTokens": (
        (COUNT,),
        lambda s, text, case, n: samplers.without(s, case["ends"]) if case["new"] < n else s,
    ),
    "ForcedFirst": (
        (TOKEN,),
        lambda s, text, case, token: samplers.only(s, [token]) if len(text) == 1 else s,
    ),
    "ForcedLast": (
        (SOME,),
        lambda s, text, case, tokens: (
            samplers.only(s, tokens) if tokens and case["new"] == MOST - 1 else s
        ),
    ),
    "Suppressed": ((SOME,), lambda s, text, case, tokens: samplers.without(s, tokens)),
    "SuppressedFirst": (
        (SOME, st.booleans()),
        lambda s, text, case, tokens, forced: (
            samplers.without(s, tokens) if case["new"] == (forced and case["begun"] == 1) else s
        ),
    ),
    "Renormalize": (
        (st.booleans(),),
        lambda s, text, case, on: samplers.renormalize(s) if on else s,
    ),
}


def test_every_rule_has_a_twin() -> None:
    assert {kind.__name__ for kind in KINDS} == set(RULES)


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=50)
@given(st.lists(TEXT, min_size=1, max_size=3), st.lists(TEXT, max_size=MOST), SOME, st.data())
def test_a_rule_is_its_twin(name: str, prompts: Any, added: Any, ends: Any, data: Any) -> None:
    arguments, twin = RULES[name]
    given_ = [data.draw(each) for each in arguments]
    columns = [[column[row % len(column)] for row in range(len(prompts))] for column in added]
    draft = Draft(read_prompt(prompts, None, VOCAB, pad=0), MOST, frozenset(ends))
    for column in columns:
        draft.append(torch.tensor(column))
    number = st.integers(-40, 40).map(lambda n: n / 8)
    numbers = st.lists(number, min_size=VOCAB, max_size=VOCAB)
    scores = [data.draw(numbers) for _ in prompts]
    found = getattr(blocks, name)(*given_)(torch.tensor(scores, dtype=torch.float64), draft)
    wanted = []
    for row, prompt in enumerate(prompts):
        text = prompt + [column[row] for column in columns]
        case = {"begun": len(prompt), "new": len(columns), "ends": ends}
        wanted.append(twin(scores[row], text, case, *given_))
    wide = torch.tensor(wanted, dtype=torch.float64)
    torch.testing.assert_close(found, wide, rtol=1e-10, atol=1e-10)
