"""beam_search: the reference's texts and scores, and the best text of all."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Trained
from tokenizers import models

from blocks import GenerationError, LongRoPEScaling, RoPE, Spec, Tokenizer, beam_search, generate
from blocks.hub.defaults import GenerationDefaults
from tests.generation.pairs import DECODERS, PAD, VOCAB, asked, decoder
from tests.generation.tiny import VOCAB as FEW
from tests.generation.tiny import tiny

NEW = 8
LENGTHS = [6, 3, 9]
MANY = tuple(range(3, 21))
ENDS = {"llama": [(22, 8), (17,), MANY, ()], "mistral": [(23, 8), (14,), ()], "gpt2": [(24,), ()]}


def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    """Ragged, padded on the left."""
    draw = torch.Generator().manual_seed(3)
    ids = torch.randint(2, VOCAB, (len(LENGTHS), max(LENGTHS)), generator=draw)
    mask = torch.arange(max(LENGTHS)) >= max(LENGTHS) - torch.tensor(LENGTHS)[:, None]
    return ids.masked_fill(~mask, PAD), mask


def check_same(name: str, stop: Any, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    model, reference = decoder(name)
    ids, mask = prompts()
    eos = list(stop) or None
    given = {"num_beams": 4, "max_new_tokens": NEW, "eos_token_id": eos, "pad_token_id": PAD}
    wanted, texts = asked(reference, ids, mask.long(), **{**given, **theirs})
    options = {"beams": 4, "max_new_tokens": NEW, "stop": stop}
    scores, found = beam_search(model, ids, mask=mask, **{**options, **ours})
    assert found.tolist() == texts.tolist()
    torch.testing.assert_close(scores, wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "stop"), [(name, stop) for name in ENDS for stop in ENDS[name]])
@pytest.mark.parametrize("early", [False, True, "never"])
@pytest.mark.parametrize("penalty", [-1.0, 0.0, 1.0, 2.0])
def test_the_same_texts_as_the_reference(name: str, stop: Any, early: Any, penalty: float) -> None:
    options = {"length_penalty": penalty, "early_stopping": early}
    check_same(name, stop, {"returned": 3, **options}, {"num_return_sequences": 3, **options})


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("beams", [1, 2, 7])
def test_numbers_of_beams(name: str, beams: int) -> None:
    if beams > 1:
        check_same(name, ENDS[name][0], {"beams": beams}, {"num_beams": beams})
        return
    ids, mask = prompts()
    options = {"mask": mask, "stop": ENDS[name][0], "max_new_tokens": NEW}
    greedy = generate(decoder(name)[0], ids, **options)
    _, found = beam_search(decoder(name)[0], ids, beams=1, early_stopping=True, **options)
    assert found.tolist() == greedy.tolist(), "one beam is greedy where the first end is the last"


def test_options_change_the_texts() -> None:
    ids, mask = prompts()

    def best(**options: Any) -> list[list[int]]:
        fixed = {"mask": mask, "stop": (22, 8), "max_new_tokens": NEW, "returned": 3}
        return beam_search(decoder("llama")[0], ids, **{**fixed, **options})[1].tolist()

    assert best(length_penalty=-1.0) != best(length_penalty=2.0)
    assert best(beams=3) != best(beams=7)
    early = [best(beams=3, stop=(17,), early_stopping=e) for e in (True, False, "never")]
    assert early[0] != early[1] != early[2] != early[0]


def test_nobody_looks_on_where_all_is_found() -> None:
    model, _ = decoder("llama")
    ids, mask = prompts()
    steps: list[int] = []

    def count(*_: Any) -> None:
        steps[-1] += 1

    hook = model.register_forward_hook(count)
    for early in (True, False, "never"):
        steps.append(0)
        options = {"mask": mask, "stop": MANY, "max_new_tokens": 40, "early_stopping": early}
        beam_search(model, ids, length_penalty=2.0, **options)
    hook.remove()
    assert steps[0] < steps[1] < steps[2] == 40


def log_likelihood(model: Any, prompt: list[int], text: tuple[int, ...]) -> float:
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *text]]))[0].float().log_softmax(-1)
    return sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(text))


@pytest.mark.parametrize("penalty", [0.0, 1.0, -0.5])
@pytest.mark.parametrize("stop", [(), (3,), (1, 4)])
def test_enough_beams_find_the_best_text_of_all(penalty: float, stop: tuple[int, ...]) -> None:
    """With as many beams as there are texts nothing is left out."""
    model, prompt, new, vocab = tiny(vocab=5), [2, 1, 4], 3, 5
    texts = {
        tuple(text[: next((i + 1 for i, token in enumerate(text) if token in stop), new)])
        for text in itertools.product(range(vocab), repeat=new)
    }
    ranked = sorted(
        ((log_likelihood(model, prompt, text) / len(text) ** penalty, text) for text in texts),
        reverse=True,
    )
    options = {"beams": vocab**new, "returned": 4, "max_new_tokens": new, "stop": stop}
    scores, found = beam_search(
        model, prompt, length_penalty=penalty, early_stopping="never", **options
    )
    for (score, text), got, ids in zip(ranked, scores.tolist(), found.tolist(), strict=False):
        assert got == pytest.approx(score, abs=1e-5)
        assert tuple(ids[3 : 3 + len(text)]) == text


def test_scores_are_those_of_the_model() -> None:
    model, prompt = tiny(), [3, 1, 4, 1, 5]
    scores, found = beam_search(model, prompt, beams=5, returned=5, max_new_tokens=6)
    for score, ids in zip(scores.tolist(), found.tolist(), strict=True):
        assert score == pytest.approx(log_likelihood(model, prompt, tuple(ids[5:])) / 6, abs=1e-5)
    assert len({tuple(ids) for ids in found.tolist()}) == 5
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)


def test_angles_that_change_are_computed_anew() -> None:
    long = LongRoPEScaling((1.0, 1.5), (2.0, 7.0), trained=7, short_magnitude=1.1)
    model = tiny(qk=(Spec(RoPE, theta=50.0, scaling=long),))
    rows = [[3, 1, 4], [1, 5, 9, 2, 6]]
    scores, found = beam_search(model, rows, beams=3, max_new_tokens=6)
    for row, prompt in enumerate(rows):
        text = tuple(found[row, 5:].tolist())
        assert len(text) == 6
        score, alone = beam_search(model, prompt, beams=3, max_new_tokens=6)
        assert tuple(alone[0, len(prompt) :].tolist()) == text
        assert float(scores[row]) == pytest.approx(float(score), abs=1e-5)


def test_fewer_texts_than_asked_for_score_nothing() -> None:
    scores, found = beam_search(
        tiny(vocab=2), [1], beams=5, returned=5, max_new_tokens=1, length_penalty=0.0
    )
    assert scores.isfinite().tolist() == [True, True, False, False, False]
    assert scores.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert sorted(found[:2, 1].tolist()) == [0, 1]


def test_strings_end_texts_too() -> None:
    words = {f"w{i}": i for i in range(FEW)}
    tokenizer = Tokenizer.from_backend(Trained(models.WordLevel(words, unk_token="w0")))
    model, prompt = tiny(), [3, 1, 4]
    plain = beam_search(model, prompt, max_new_tokens=8)[1][0, 3:].tolist()
    end = plain[2]
    options = {"max_new_tokens": 8, "returned": 4, "early_stopping": "never"}
    by_id = beam_search(model, prompt, stop=end, **options)
    text = tokenizer.decode([end])
    longer = [i for i in range(FEW) if text in tokenizer.decode([i])]
    by_ids = by_id if longer == [end] else beam_search(model, prompt, stop=longer, **options)
    by_text = beam_search(model, prompt, stop=text, tokenizer=tokenizer, **options)
    assert torch.equal(by_text[0], by_ids[0])
    ends = (by_text[1][:, 3:] == end).nonzero()
    assert len(ends), "a text ends so"


def test_the_checkpoint_says_how_it_searches() -> None:
    model, prompt = tiny(), [3, 1, 4]
    options = {"max_new_tokens": 6, "stop": (2, 5, 7), "returned": 2}

    def found(**given: Any) -> list[float]:
        return beam_search(model, prompt, **options, **given)[0].tolist()

    told = {"beams": 3, "length_penalty": 2.0, "early_stopping": True}
    plain = {"beams": 4, "length_penalty": 1.0, "early_stopping": False}
    assert found() == found(**plain)
    wanted = found(**told)
    model.generation = GenerationDefaults(**told)
    assert found() == wanted != found(**plain)
    greedy = generate(model, prompt, max_new_tokens=6, stop=())
    assert greedy.tolist() == beam_search(model, prompt, beams=1, max_new_tokens=6)[1].tolist()


def test_the_model_is_left_as_it_was() -> None:
    model = tiny(dropout=0.5).train()
    first, again = (beam_search(model, [1, 2], max_new_tokens=4) for _ in range(2))
    assert model.training and torch.equal(first[1], again[1])
    assert not first[0].requires_grad and first[0].dtype == torch.float32


BAD: list[dict[str, Any]] = [
    {"beams": 0},
    {"beams": True},
    {"beams": 2.0},
    {"returned": 0},
    {"returned": 5},
    {"beams": 2, "returned": 3},
    {"length_penalty": "1"},
    {"length_penalty": math.nan},
    {"length_penalty": True},
    {"length_penalty": -11},
    {"early_stopping": "soon"},
    {"early_stopping": 1},
    {"max_new_tokens": 0},
    {"start": 3},
    {"rules": [None]},
]


@pytest.mark.parametrize("options", BAD, ids=str)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(GenerationError) as caught:
        beam_search(tiny(), [1], **options)
    assert caught.value.field == list(options)[-1]
