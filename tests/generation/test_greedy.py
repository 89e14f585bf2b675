"""generate and stream: cached = uncached, batch = single, and what can't be done is said."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pytest
import torch
from torch import nn

import blocks
from blocks import (
    ALiBi,
    Chunk,
    GenerationError,
    LinearScaling,
    LongRoPEScaling,
    RoPE,
    Spec,
    Window,
    generate,
    stream,
)
from tests.generation.tiny import VOCAB, Scripted, tiny, uncached

PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [6, 5], [3, 5, 8, 9]]

LONG = LongRoPEScaling((1.0, 1.5), (2.0, 7.0), trained=9, short_magnitude=1.1, long_magnitude=1.7)
KINDS: dict[str, dict[str, Any]] = {
    "rope": {},
    "window": {"mask": Window(3)},
    "chunk": {"mask": Chunk(4)},
    "sinks": {"sinks": True},
    "alibi": {"qk": (), "scores": (Spec(ALiBi),)},
    "linear": {"qk": (Spec(RoPE, scaling=LinearScaling(3.0)),)},
    "longrope": {"qk": (Spec(RoPE, scaling=LONG),)},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_is_what_no_cache_gives(kind: str, prompt: list[int]) -> None:
    model = tiny(**KINDS[kind])
    found = generate(model, prompt, max_new_tokens=12)
    assert found.tolist() == [uncached(model, prompt, 12)]
    assert list(stream(model, prompt, max_new_tokens=12)) == found[0, len(prompt) :].tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["lists", "left", "right", "between"])
def test_a_ragged_batch_says_what_each_says_alone(kind: str, side: str) -> None:
    model, longest = tiny(**KINDS[kind]), max(map(len, PROMPTS))
    alone = [uncached(model, prompt, 9)[len(prompt) :] for prompt in PROMPTS]
    given, mask = padded(side, longest)
    tokens: Any = PROMPTS if side == "lists" else given
    found = generate(model, tokens, mask=None if side == "lists" else mask, max_new_tokens=9)
    assert found[:, longest:].tolist() == alone
    kept = padded("left", longest)[0] if side == "lists" else given
    real = padded("left", longest)[1] if side == "lists" else mask
    assert torch.equal(found[:, :longest][real], kept[real])


def padded(side: str, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The prompts with noise as padding."""
    tokens = torch.full((len(PROMPTS), longest), 7)
    mask = torch.zeros(len(PROMPTS), longest, dtype=torch.bool)
    for row, prompt in enumerate(PROMPTS):
        n = len(prompt)
        spread = [round(i * (longest - 1) / max(n - 1, 1)) for i in range(n)]
        columns = {"left": range(longest - n, longest), "right": range(n)}.get(side, spread)
        for column, token in zip(columns, prompt, strict=True):
            tokens[row, column], mask[row, column] = token, True
    return tokens, mask


def test_forms_of_a_prompt() -> None:
    model, wanted = tiny(), uncached(tiny(), PROMPTS[0], 3)
    whole = torch.tensor(PROMPTS[0])
    forms = [PROMPTS[0], tuple(PROMPTS[0]), whole, whole[None], [PROMPTS[0]], [whole], whole.int()]
    for tokens in forms:
        assert generate(model, tokens, max_new_tokens=3).tolist() == [wanted]
    mask = torch.ones(1, len(whole), dtype=torch.int64)
    assert generate(model, whole[None], mask=mask, max_new_tokens=3).tolist() == [wanted]


def test_the_model_is_left_as_it_was() -> None:
    model = tiny(dropout=0.5).train()
    before = {name: p.clone() for name, p in model.named_parameters()}
    first = generate(model, PROMPTS[0], max_new_tokens=5)
    assert model.training and torch.equal(first, generate(model, PROMPTS[0], max_new_tokens=5))
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in model.named_parameters())
    assert not first.requires_grad
    next(stream(model, PROMPTS[0]))
    assert model.training, "a stream that is left gives the model back as it was"


def test_grad_mode_is_not_changed_between_tokens() -> None:
    for _ in stream(tiny(), PROMPTS[0], max_new_tokens=3):
        assert torch.is_grad_enabled()


def test_any_model_that_speaks_the_protocol() -> None:
    model = Scripted([7, 8, 9], [1, 2, 3])
    found = generate(model, [[1, 2, 3], [4]], max_new_tokens=3)
    assert found[:, 3:].tolist() == [[7, 8, 9], [1, 2, 3]] and model.room == 6
    first, second, third = model.heard
    assert first[0][0] == [1, 2, 3] and first[0][1][0] == 4, "left-aligned"
    assert first[1] == [[True] * 3, [True, False, False]]
    assert second[0] == [[7], [1]] and third[0] == [[8], [2]]
    for name in ("vocab", "init_state"):
        with pytest.raises(GenerationError, match=f"no {name}"):
            generate(Without(name), [1])


class Without(nn.Module):
    def __init__(self, name: str):
        super().__init__()
        if name != "vocab":
            self.vocab = 3
        if name != "init_state":
            self.init_state = lambda batch, room: None


BAD_PROMPTS: list[tuple[Any, str]] = [
    ([], "token ids"),
    ("abc", "token ids"),
    (None, "token ids"),
    (5, "token ids"),
    ([[]], "row 0 is empty"),
    ([[1], []], "row 1 is empty"),
    ([1, 2.5], "no int"),
    ([[1], [True]], "no int"),
    ([[1], ["a"]], "no int"),
    ([1, VOCAB], f"token {VOCAB} is not in the vocabulary"),
    ([1, -1], "token -1"),
    ([10**30], "too large"),
    (torch.zeros(0, dtype=torch.int64), "nothing to read"),
    (torch.zeros(1, 0, dtype=torch.int64), "nothing to read"),
    (torch.zeros(2, 2), "integers"),
    (torch.zeros(1, 2, 2, dtype=torch.int64), "tensor"),
    (torch.tensor(3), "tensor"),
    (torch.tensor([True]), "integers"),
]


@pytest.mark.parametrize(
    ("tokens", "words"), BAD_PROMPTS, ids=[str(n) for n in range(len(BAD_PROMPTS))]
)
def test_bad_prompts(tokens: Any, words: str) -> None:
    for call in (generate, lambda *args: list(stream(*args))):
        with pytest.raises(GenerationError, match=words) as caught:
            call(tiny(), tokens)
        assert caught.value.field == "tokens"


BAD_MASKS: list[tuple[Any, str]] = [
    (torch.ones(1, 2, dtype=torch.bool), r"\[1, 2\]"),
    (torch.ones(2, 3), "bool or 0 and 1"),
    (torch.tensor([[True] * 3, [False] * 3]), "row 1 is empty"),
]


@pytest.mark.parametrize(("mask", "words"), BAD_MASKS)
def test_bad_masks(mask: Any, words: str) -> None:
    with pytest.raises(GenerationError, match=words):
        generate(tiny(), torch.ones(2, 3, dtype=torch.int64), mask=mask)


def test_lists_need_no_mask() -> None:
    with pytest.raises(GenerationError, match="lengths tell"):
        generate(tiny(), [[1, 2]], mask=torch.ones(1, 2, dtype=torch.bool))


@pytest.mark.parametrize("new", [0, -1, 1.5, "3", True, None])
def test_max_new_tokens_is_a_number_of_tokens(new: Any) -> None:
    with pytest.raises(GenerationError, match="max_new_tokens"):
        generate(tiny(), [1], max_new_tokens=new)


def test_the_context_is_never_exceeded() -> None:
    model = tiny(context=8)
    assert generate(model, [1, 2, 3], max_new_tokens=5).shape == (1, 8)
    with pytest.raises(GenerationError, match="at most 5 fit") as caught:
        generate(model, [1, 2, 3], max_new_tokens=6)
    assert caught.value.field == "max_new_tokens"
    with pytest.raises(GenerationError, match="no room in the model's context of 8"):
        generate(model, list(range(8)), max_new_tokens=1)
    ragged = generate(model, [[1] * 3, [1] * 6], max_new_tokens=2)
    assert ragged.shape == (2, 8)


def test_both_take_the_same_arguments() -> None:
    one, other = signature(generate), signature(stream)
    assert list(one.parameters.values()) == list(other.parameters.values())
    assert one.parameters["max_new_tokens"].default == 128
    assert (one.return_annotation, other.return_annotation) == ("Tensor", "Iterator[int]")
    for call in (generate, stream):
        with pytest.raises(TypeError, match="temprature"):
            call(tiny(), [1], temprature=1.0)  # type: ignore[call-arg]  # that is the test


def test_stream_takes_one_prompt() -> None:
    with pytest.raises(GenerationError, match="one prompt, not 2"):
        next(stream(tiny(), [[1], [2]]))


@pytest.mark.parametrize("place", ["embedding.weight", "layers.1.mlp.up.weight", "head.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(place: str, value: float) -> None:
    model = tiny()
    with torch.no_grad():
        blocks.addresses(model)[place].fill_(value)
    with pytest.raises(GenerationError, match="not finite") as caught:
        generate(model, [1, 2])
    assert caught.value.tensor == place


def test_the_first_of_two_bad_tensors_is_named() -> None:
    model = tiny()
    with torch.no_grad():
        for place in ("layers.0.attention.q.weight", "layers.1.mlp.up.weight"):
            blocks.addresses(model)[place][0, 0] = float("nan")
    with pytest.raises(GenerationError) as caught:
        generate(model, [1, 2], temperature=1.0, seed=0)
    assert caught.value.tensor == "layers.0.attention.q.weight"


def test_finite_weights_that_overflow_name_the_block() -> None:
    model = tiny().float()
    with torch.no_grad():
        blocks.addresses(model)["layers.1.mlp.down.weight"].fill_(3e38)
    with pytest.raises(GenerationError, match=r"layers\.1\.mlp\.down"):
        generate(model, [1, 2])


def test_longrope_computes_anew_where_its_angles_change() -> None:
    """Rows reach the trained length at different steps, from below, at it and beyond."""
    model = tiny(qk=(Spec(RoPE, scaling=LONG),))
    prompts = [[3] * 7, [5] * 9, [1] * 10, [2] * 8, [4, 4]]
    alone = [uncached(model, prompt, 10)[len(prompt) :] for prompt in prompts]
    assert generate(model, prompts, max_new_tokens=10)[:, 10:].tolist() == alone
    frozen = LongRoPEScaling((1.0, 1.5), (1.0, 1.5), trained=9)
    other = tiny(qk=(Spec(RoPE, scaling=frozen),))
    assert any(uncached(other, p, 10)[len(p) :] != a for p, a in zip(prompts, alone, strict=True))
