"""Speculation: whatever is drafted, the text is the one that the plain loop writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import blocks
from blocks import (
    DraftModel,
    DynamicScaling,
    GenerationError,
    PromptLookup,
    RoPE,
    Spec,
    generate,
    stream,
)
from blocks.generation.assistant import Assistant
from tests.generation.test_answers import built
from tests.generation.test_greedy import KINDS, PROMPTS
from tests.generation.tiny import VOCAB, Scripted, tiny

DYNAMIC = {"qk": (Spec(RoPE, theta=50.0, scaling=DynamicScaling(2.0, 9)),)}
ALL = {**KINDS, "dynamic": DYNAMIC}
LONGEST = max(map(len, PROMPTS))


@cache
def scrambled(kind: str) -> Any:
    return tiny(**ALL[kind])


class Drawn(Assistant):
    """Drafts what the text will be, spoilt here and there: `right` says how often it is not."""

    def __init__(self, wanted: Sequence[Sequence[int]], seed: int, right: float, vocab: int):
        super().__init__(6)
        self.wanted, self.right, self.vocab = wanted, right, vocab
        self.dice = torch.Generator().manual_seed(seed)

    @contextmanager
    def begin(self, request: Any, sampler: Any) -> Iterator[Drawn]:
        yield self

    def propose(self, lines: Any, limits: Sequence[int]) -> list[list[int]]:
        found = []
        for line, most in zip(lines, limits, strict=True):
            many = int(torch.randint(0, 7, (1,), generator=self.dice))
            true = self.wanted[line.row][line.draft.new :][: min(many, most)]
            spoilt = torch.rand(len(true), generator=self.dice) >= self.right
            found.append([(t + int(s)) % self.vocab for t, s in zip(true, spoilt, strict=True)])
        return found

    def select(self, rows: Tensor) -> None:
        pass


@pytest.mark.parametrize("kind", ALL)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**20), right=st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_any_draft_gives_the_same_text(kind: str, seed: int, right: float) -> None:
    model, options = scrambled(kind), {"max_new_tokens": 14, "stop": [3, 8]}
    plain = generate(model, PROMPTS, **options)
    said = [whole(row) for row in plain[:, LONGEST:].tolist()]
    drafts = Drawn(said, seed, right, VOCAB)
    assert torch.equal(generate(model, PROMPTS, assistant=drafts, **options), plain)
    assert right < 1 or drafts.accepted == drafts.drafted
    assert right > 0 or drafts.accepted == 0


def whole(row: list[int]) -> list[int]:
    """A text up to the token that ends it."""
    return row[: next((n + 1 for n, token in enumerate(row) if token in (3, 8)), len(row))]


RULES: dict[str, dict[str, Any]] = {
    "least": {"min_new_tokens": 9, "stop": range(0, VOCAB, 2)},
    "penalty": {"repetition_penalty": 3.0},
    "ngram": {"no_repeat_ngram": 2},
    "last": {"rules": [blocks.ForcedLast((7,))]},
    "drawn": {"temperature": 1.5, "seed": 3},
    "among few": {"temperature": 0.8, "top_k": 5, "top_p": 0.9, "seed": 4},
    "likely": {"temperature": 2.0, "min_p": 0.1, "seed": 5, "repetition_penalty": 2.0},
}


@pytest.mark.parametrize("assistant", ["lookup", "itself", "another"])
@pytest.mark.parametrize("rule", RULES)
def test_rules_and_draws_are_those_of_the_plain_loop(rule: str, assistant: str) -> None:
    model, options = scrambled("rope"), {"max_new_tokens": 20, **RULES[rule]}
    plain = generate(model, PROMPTS, **options)
    helpers: dict[str, Any] = {
        "lookup": PromptLookup(1, 4),
        "itself": DraftModel(model, 5),
        "another": tiny(layers=1),
    }
    helper = helpers[assistant]
    assert torch.equal(generate(model, PROMPTS, assistant=helper, **options), plain)
    if assistant == "itself":
        assert 0 < helper.accepted == helper.drafted and 0 < helper.calls < 20
    for prompt in PROMPTS:
        said = list(stream(model, prompt, assistant=helper, **options))
        assert said == generate(model, prompt, **options)[0, len(prompt) :].tolist()


@pytest.mark.parametrize("kind", ["window", "longrope", "dynamic"])
def test_a_draft_model_that_can_not_forget(kind: str) -> None:
    plain = generate(scrambled("rope"), PROMPTS, max_new_tokens=16)
    helper = DraftModel(scrambled(kind))
    found = generate(scrambled("rope"), PROMPTS, max_new_tokens=16, assistant=helper)
    assert torch.equal(found, plain) and helper.drafted > 0


def test_an_encoder_decoder() -> None:
    model, sources = built(), [[5, 6, 7, 8], [9, 5], [4, 4, 6]]
    options: dict[str, Any] = {"max_new_tokens": 12, "start": 1, "stop": ()}
    plain = generate(model, sources, **options)
    drafts = Drawn(plain[:, 1:].tolist(), 1, 0.7, model.vocab)
    for helper in (drafts, PromptLookup(1), DraftModel(model)):
        assert torch.equal(generate(model, sources, assistant=helper, **options), plain)
        assert helper.drafted > 0
    with pytest.raises(GenerationError, match="can't draft for a"):
        generate(model, sources, assistant=tiny(vocab=model.vocab), **options)


def test_strings_that_end_a_text() -> None:
    tokenizer = blocks.Tokenizer.from_pretrained(blocks.packaged())
    model = blocks.from_pretrained(blocks.packaged()).float()
    ids = tokenizer.encode("ROMEO:")
    options: dict[str, Any] = {"max_new_tokens": 60, "stop": [":", "\n\n"], "tokenizer": tokenizer}
    plain = generate(model, ids, **options)
    assert plain.shape[1] < len(ids) + 60
    for helper in (PromptLookup(1), DraftModel(model)):
        assert torch.equal(generate(model, ids, assistant=helper, **options), plain)


def test_draws_are_from_the_model() -> None:
    """A chi-square of the second token against its exact chances, with a helper that is wrong."""
    model, helper, vocab, many = tiny(vocab=5), tiny(vocab=5, layers=1), 5, 3000
    with torch.no_grad():
        first = model(torch.tensor([[1, 2]]))[0, -1].softmax(-1)
        after = [model(torch.tensor([[1, 2, n]]))[0, -1].softmax(-1) for n in range(vocab)]
    wanted = torch.stack([p * q for p, q in zip(first, after, strict=True)])  # pairs of tokens
    said = generate(
        model, [[1, 2]] * many, max_new_tokens=2, temperature=1.0, seed=1, stop=(), assistant=helper
    )
    counts = Counter(map(tuple, said[:, 2:].tolist()))
    found = torch.tensor([[counts[a, b] for b in range(vocab)] for a in range(vocab)])
    likely = wanted * many >= 5
    surplus = (found - wanted * many)[likely] ** 2 / (wanted * many)[likely]
    assert float(surplus.sum()) < 1.5 * int(likely.sum()), "of 99.9 % of fair draws"


def test_a_stream_that_is_left_leaves_the_models_as_they_were() -> None:
    model, helper = tiny().train(), tiny(layers=1).train()
    next(stream(model, PROMPTS[0], assistant=helper))
    assert model.training and helper.training


def test_a_context_that_is_shorter() -> None:
    model = scrambled("rope")
    plain = generate(model, PROMPTS, max_new_tokens=20)
    found = generate(model, PROMPTS, max_new_tokens=20, assistant=tiny(context=11, layers=1))
    assert torch.equal(found, plain)
    with pytest.raises(GenerationError, match="not longer than the prompt"):
        generate(model, PROMPTS, assistant=tiny(context=7))


def test_vocabularies_that_differ_by_padding() -> None:
    model = tiny(vocab=200)
    plain = generate(model, PROMPTS, max_new_tokens=12)
    for vocab in (199, 200, 201):
        helper = tiny(vocab=vocab, layers=1)
        assert torch.equal(generate(model, PROMPTS, max_new_tokens=12, assistant=helper), plain)


@pytest.mark.parametrize(
    ("assistant", "words"),
    [
        (tiny(vocab=VOCAB + 4), "knows 27 tokens and the model 23"),
        (5, "a int drafts nothing"),
        ("org/name", "a str drafts nothing"),
    ],
)
def test_what_can_not_help(assistant: Any, words: str) -> None:
    with pytest.raises(GenerationError, match=words) as caught:
        generate(tiny(), PROMPTS, assistant=assistant)
    assert caught.value.field == "assistant"


@pytest.mark.parametrize("kind", [PromptLookup, lambda n: DraftModel(tiny(), n)])
@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_numbers_of_tokens(kind: Any, n: Any) -> None:
    with pytest.raises(GenerationError):
        kind(n)


def test_a_state_that_can_not_be_gone_back_to() -> None:
    with pytest.raises(GenerationError, match="a Count can't be gone back to"):
        generate(Scripted([1, 1, 1, 1, 1, 1]), [1, 1, 1], assistant=PromptLookup(1))


def test_what_is_looked_up() -> None:
    text = torch.tensor([1, 2, 3, 4, 1, 2, 5, 1, 2])
    assert PromptLookup(3).follow(text, 3) == [5, 1, 2], "where they last stood"
    assert PromptLookup(3).follow(text, 0) == []
    assert PromptLookup(2).follow(torch.tensor([7, 8, 7, 8, 7]), 5) == [8, 7, 8, 7, 8], "a loop"
    assert PromptLookup(3).follow(torch.tensor([1, 2, 1]), 4) == [], "one token tells little"
    assert PromptLookup(1).follow(torch.tensor([1, 2, 1]), 2) == [2, 1]
    assert PromptLookup(3).follow(torch.tensor([4]), 4) == []
