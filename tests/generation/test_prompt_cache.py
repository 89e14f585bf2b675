"""Prompts read in pieces, and what is not read again: the text is the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from blocks import DraftModel, GenerationError, PromptCache, PromptLookup, generate, stream
from tests.generation.test_answers import built
from tests.generation.test_greedy import PROMPTS
from tests.generation.test_speculation import ALL, scrambled
from tests.generation.tiny import VOCAB, Scripted, tiny

DOCUMENT = [3, 1, 4, 1, 5, 9, 2, 6]
NEW: dict[str, Any] = {"max_new_tokens": 8}
FORGETS = sorted(ALL.keys() - {"window", "chunk"})


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("chunk", [1, 3, 8, 99])
def test_a_prompt_in_pieces(kind: str, chunk: int) -> None:
    model = scrambled(kind)
    for prompt in (PROMPTS, DOCUMENT * 2, DOCUMENT):
        plain = generate(model, prompt, **NEW)
        assert torch.equal(generate(model, prompt, chunk=chunk, **NEW), plain)


def test_pieces_are_what_the_model_reads() -> None:
    model = Scripted([1] * 9, [2] * 9)
    generate(model, [[1, 2, 3, 4, 5], [6, 7]], max_new_tokens=1, chunk=2)
    tokens = [heard[0] for heard in model.heard]
    masks = [heard[1] for heard in model.heard]
    assert tokens == [[[1, 2], [6, 7]], [[3, 4], [0, 0]], [[5], [0]]]
    assert masks == [None, [[True, True], [False, False]], [[True], [False]]]


@pytest.mark.parametrize("kind", ALL)
def test_asking_often(kind: str) -> None:
    """Of a document: longer prompts, the very same, some at once, a part of it, another text."""
    model, end = scrambled(kind), len(DOCUMENT)
    cache = PromptCache(model, DOCUMENT, chunk=3)
    asked: list[tuple[Any, int]] = [
        ([*DOCUMENT, 7, 7], end),
        (DOCUMENT, end - 1),
        ([[*DOCUMENT, 8], [*DOCUMENT, 1, 2]], end),
        ([*DOCUMENT[:5], 8, 8], 5),
        ([8, *DOCUMENT], 0),
        ([*DOCUMENT, 7, 7], end),
    ]
    for prompt, shared in asked:
        for _ in range(2):
            assert torch.equal(generate(model, prompt, cache=cache, **NEW), again(kind, prompt))
            part = shared == 5 and kind not in FORGETS
            longest = max(map(len, prompt)) if isinstance(prompt[0], list) else len(prompt)
            beyond = longest > 9 and kind in ("longrope", "dynamic")
            assert cache.reused == (0 if part or beyond else shared), (prompt, shared)
        assert cache.tokens == DOCUMENT


def again(kind: str, prompt: Any) -> Tensor:
    return generate(scrambled(kind), prompt, **NEW)


@pytest.mark.parametrize("assistant", ["none", "lookup", "model"])
@pytest.mark.parametrize("kind", ALL)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**20))
def test_a_conversation(kind: str, assistant: str, seed: int) -> None:
    """Each turn goes on, forgets some of the last answer, or is left before its end."""
    model, draw = scrambled(kind), torch.Generator().manual_seed(seed)
    cache, text = PromptCache(model, follow=True), [4, 2]
    helper = {"none": None, "lookup": PromptLookup(1), "model": DraftModel(model, 3)}[assistant]
    for _ in range(5):
        wanted = again(kind, text)[0].tolist()
        cut, new, left = torch.randint(0, 5, (3,), generator=draw).tolist()
        if left == 0:
            said = stream(model, text, cache=cache, assistant=helper, **NEW)
            assert [next(said) for _ in range(3)] == wanted[len(text) : len(text) + 3]
            del said
        else:
            found = generate(model, text, cache=cache, assistant=helper, **NEW)
            assert found[0].tolist() == wanted
        text = [*wanted[: len(wanted) - cut], *torch.randint(0, VOCAB, (new,)).tolist()]


@pytest.mark.parametrize("kind", ["rope", "window", "alibi"])
def test_a_conversation_is_read_once(kind: str) -> None:
    model = scrambled(kind)
    cache = PromptCache(model, follow=True)
    first = generate(model, DOCUMENT, cache=cache, **NEW)[0].tolist()
    assert cache.tokens == first[:-1] and cache.reused == 0
    generate(model, [*first, 5, 6], cache=cache, **NEW)
    assert cache.reused == len(first) - 1
    other = (first[len(DOCUMENT)] + 1) % VOCAB
    generate(model, [*DOCUMENT, other, 6], cache=cache, **NEW)
    kept = len(DOCUMENT) if kind in FORGETS else len(DOCUMENT) - 1
    assert cache.reused == kept, "the prompt before its answer"
    generate(model, PROMPTS, cache=cache, **NEW)
    assert cache.tokens[: len(DOCUMENT)] == DOCUMENT, "several prompts leave it as it is"


def test_streams_at_the_same_time() -> None:
    for kind in ("rope", "window"):
        model = scrambled(kind)
        for follow in (False, True):
            cache = PromptCache(model, DOCUMENT, follow=follow)
            prompts = [[*DOCUMENT, 7], [*DOCUMENT, 8, 9]]
            said = zip(*(stream(model, p, cache=cache, **NEW) for p in prompts), strict=True)
            found = [list(row) for row in zip(*said, strict=True)]
            plain = [list(stream(model, p, **NEW)) for p in prompts]
            assert found == plain


def test_what_fails_leaves_nothing_half_read() -> None:
    model = scrambled("rope")
    cache = PromptCache(model, DOCUMENT, follow=True)

    def fails(scores: Tensor, draft: Any) -> Tensor:
        if draft.new == 2:
            raise KeyboardInterrupt
        return scores

    with pytest.raises(KeyboardInterrupt):
        generate(model, [*DOCUMENT, 7], cache=cache, rules=[fails], **NEW)
    assert torch.equal(generate(model, DOCUMENT, cache=cache, **NEW), again("rope", DOCUMENT))


def test_what_can_not_be_cached() -> None:
    model = scrambled("rope")
    bad: list[tuple[Any, str, str]] = [
        (lambda: generate(tiny(), [1], cache=PromptCache(model, [1])), "another model", "cache"),
        (lambda: PromptCache(model, PROMPTS), "of one text", "tokens"),
        (lambda: PromptCache(model, [VOCAB]), "not in the vocabulary", "tokens"),
        (lambda: PromptCache(built()), "of one source", "model"),
        (lambda: generate(built(), [1], start=1, cache=PromptCache(model)), "another", "cache"),
        (lambda: generate(model, [1], chunk=0), "above zero", "chunk"),
        (lambda: generate(model, [1], chunk=True), "number of tokens", "chunk"),
    ]
    for call, words, field in bad:
        with pytest.raises(GenerationError, match=words) as caught:
            call()
        assert caught.value.field == field
