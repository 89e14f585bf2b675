"""Sampling against sorted lists in float64, and draws against their distribution."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blocks import GenerationError, Sampler, generate, stream
from tests.generation.tiny import VOCAB, tiny
from tests.twins import samplers

LOGITS = st.lists(st.integers(-600, 600), min_size=2, max_size=12, unique=True)
OPTION = st.sampled_from


FIGURES = {torch.float64: 1e-10, torch.float32: 1e-5}


@given(
    st.one_of(LOGITS, st.lists(OPTION([-97, 0, 194]), min_size=2, max_size=9)),
    OPTION([0.3, 1.0, 2.5]),
    OPTION([None, 1, 2, 5, 50]),
    OPTION([None, 0.01, 0.333, 0.77, 0.95, 1.0]),
    OPTION([None, 0.0, 0.123, 0.61, 1.0]),
)
def test_distribution_is_the_naive_one(
    whole: list[int], temperature: float, top_k: Any, top_p: Any, min_p: Any
) -> None:
    logits = [value / 97 for value in whole]
    wanted = torch.tensor(
        [samplers.distribution(logits, temperature, top_k, top_p, min_p)], dtype=torch.float64
    )
    for dtype, figure in FIGURES.items():
        found = Sampler(temperature, top_k, top_p, min_p).distribution(
            torch.tensor([logits], dtype=dtype)
        )
        torch.testing.assert_close(found, wanted.to(dtype), rtol=figure, atol=figure)
        assert found.gt(0).tolist() == wanted.to(dtype).gt(0).tolist()


def test_options_that_change_nothing() -> None:
    logits = torch.randn(4, VOCAB)
    plain = Sampler(1.0).distribution(logits)
    torch.testing.assert_close(plain, logits.softmax(-1))
    for options in ({"top_k": VOCAB}, {"top_k": 10**9}, {"top_p": 1.0}, {"min_p": 0.0}):
        torch.testing.assert_close(Sampler(1.0, **options).distribution(logits), plain)


def test_rows_are_cut_by_themselves() -> None:
    logits = torch.randn(5, VOCAB)
    sampler = Sampler(0.7, top_k=9, top_p=0.8, min_p=0.1)
    whole = sampler.distribution(logits)
    for row in range(5):
        torch.testing.assert_close(sampler.distribution(logits[row : row + 1])[0], whole[row])


def test_the_penalty_counts_prompt_and_answer_and_no_padding() -> None:
    model, penalty = tiny(), 1.8
    prompts = [[3, 1, 4], [2]]

    def alone(prompt: list[int]) -> list[int]:
        ids = list(prompt)
        for _ in range(8):
            logits = model(torch.tensor([ids]))[0, -1]
            for i in set(ids):
                logits[i] = logits[i] / penalty if logits[i] > 0 else logits[i] * penalty
            ids.append(int(logits.argmax()))
        return ids[len(prompt) :]

    with torch.no_grad():
        wanted = [alone(prompt) for prompt in prompts]
    found = generate(model, prompts, max_new_tokens=8, repetition_penalty=penalty)
    assert found[:, 3:].tolist() == wanted
    assert found[:, 3:].tolist() != generate(model, prompts, max_new_tokens=8)[:, 3:].tolist()


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([[1.0, 0.0, 2.0, -1.0, 0.5]])
    sampler = Sampler(0.8, top_k=4, top_p=0.95, seed=3)
    wanted = sampler.distribution(logits)[0].double()
    n = 4000
    counts = torch.zeros(5, dtype=torch.float64)
    for _ in range(n):
        counts[int(sampler(logits))] += 1
    spread = (wanted * (1 - wanted) / n).sqrt()
    assert ((counts / n - wanted).abs() <= 4 * spread).all()
    assert counts[wanted == 0].eq(0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_cold_is_greedy(dtype: torch.dtype) -> None:
    logits = torch.randn(6, VOCAB).to(dtype)
    cold = Sampler(1e-4, seed=0)(logits)
    assert torch.equal(cold, logits.argmax(-1)) and torch.equal(Sampler()(logits), cold)
    assert Sampler(1e-30, seed=0).distribution(logits.float()).isfinite().all()


def test_masked_logits_are_never_drawn() -> None:
    logits = torch.full((1, 5), -math.inf)
    logits[0, 3] = 0.0
    for options in ({}, {"top_k": 2}, {"top_p": 0.5}, {"min_p": 0.5}):
        assert int(Sampler(1.0, seed=0, **options)(logits)) == 3


def sampled(tokens: Any, seed: int | None, **options: Any) -> list[list[int]]:
    return generate(
        tiny(), tokens, max_new_tokens=10, temperature=1.5, seed=seed, **options
    ).tolist()


def test_the_same_seed_says_the_same() -> None:
    assert sampled([1, 2], 7) == sampled([1, 2], 7)
    assert sampled([1, 2], 7) != sampled([1, 2], 8)
    torch.manual_seed(3)
    first = sampled([1, 2], 7)
    torch.manual_seed(4)
    assert first == sampled([1, 2], 7), "the global generator plays no part"
    answer = list(stream(tiny(), [1, 2], max_new_tokens=10, temperature=1.5, seed=7))
    assert answer == first[0][2:]


def test_without_a_seed_it_is_another_text() -> None:
    torch.manual_seed(0)
    first = sampled([1, 2], None)
    torch.manual_seed(0)
    assert any(sampled([1, 2], None) != first for _ in range(3))


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    prompts = [[3, 1], [4, 1, 5], [9]]
    whole = sampled(prompts, 11, top_k=9)
    for other in ([[3, 1]], [[3, 1], [7]], [[3, 1], [8, 8, 8], [1], [2]]):
        assert sampled(other, 11, top_k=9)[0][-10:] == whole[0][-10:]
    other = sampled([[7], [4, 1, 5]], 11, top_k=9)
    assert other[1][-10:] == whole[1][-10:]
    twins = sampled([[3, 1]] * 3, 11)
    assert len({tuple(row) for row in twins}) == 3, "each row draws for itself"


BAD: list[dict[str, Any]] = [
    {"temperature": -0.1},
    {"temperature": math.nan},
    {"temperature": math.inf},
    {"temperature": "1"},
    {"temperature": True},
    {"temperature": 1.0, "top_k": 0},
    {"temperature": 1.0, "top_k": -3},
    {"temperature": 1.0, "top_k": 1.5},
    {"temperature": 1.0, "top_k": True},
    {"temperature": 1.0, "top_p": 0.0},
    {"temperature": 1.0, "top_p": 1.1},
    {"temperature": 1.0, "top_p": math.nan},
    {"temperature": 1.0, "min_p": -0.1},
    {"temperature": 1.0, "min_p": 1.1},
    {"repetition_penalty": 0.0},
    {"repetition_penalty": -1.0},
    {"repetition_penalty": math.inf},
    {"repetition_penalty": "1"},
    {"repetition_penalty": True},
    {"no_repeat_ngram": -1},
    {"no_repeat_ngram": 1.5},
    {"no_repeat_ngram": True},
    {"min_new_tokens": -1},
    {"min_new_tokens": "1"},
    {"rules": 5},
    {"rules": [5]},
    {"temperature": None},
    {"temperature": 1.0, "seed": "a"},
    {"temperature": 1.0, "seed": 1.5},
    {"temperature": 1.0, "seed": True},
]


@pytest.mark.parametrize("options", BAD, ids=[str(o) for o in BAD])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(GenerationError) as caught:
        generate(tiny(), [1], max_new_tokens=1, **options)
    assert caught.value.field == list(options)[-1]


@pytest.mark.parametrize("option", [{"top_k": 3}, {"top_p": 0.5}, {"min_p": 0.2}])
def test_options_of_a_draw_need_a_draw(option: dict[str, Any]) -> None:
    with pytest.raises(GenerationError, match="temperature"):
        generate(tiny(), [1], **option)


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**70, -(2**64)])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert sampled([1], seed) == sampled([1], seed)
