"""Rules: each as the reference has it, from arguments and from generation_config.json."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from blocks import (
    BadWords,
    Draft,
    ForcedFirst,
    ForcedLast,
    GenerationError,
    MinLength,
    MinNewTokens,
    NoRepeatNGram,
    NoSourceNGram,
    Renormalize,
    RepetitionPenalty,
    Suppressed,
    SuppressedFirst,
    beam_search,
    generate,
    stream,
)
from blocks.generation.prompt import read_prompt
from blocks.hub.defaults import read_generation
from blocks.hub.source import resolve
from tests.generation.pairs import PAD, VOCAB, asked, decoder, written
from tests.generation.tiny import Scripted, tiny

STOP, NEW = (22, 8), 9
MANY = [i for i in range(2, VOCAB) if i % 3 == 0 and i not in STOP]
WORDS = [
    [6],
    [8, 13],
    [13, 8],
    [5],
    [3, 4, 7, 2, 9, 20, 21, 22, 23, 24, 25, 26],
    *([i] for i in MANY),
]

# By name: our arguments, the reference's, and the tokens of a prompt.
RULES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "none": ({}, {}, 6),
    "penalty": ({"repetition_penalty": 1.8}, {"repetition_penalty": 1.8}, 6),
    "reward": ({"rules": [RepetitionPenalty(0.6)]}, {"repetition_penalty": 0.6}, 6),
    "ngram1": ({"no_repeat_ngram": 1}, {"no_repeat_ngram_size": 1}, 6),
    "ngram2": ({"no_repeat_ngram": 2}, {"no_repeat_ngram_size": 2}, 6),
    "ngram3": ({"rules": [NoRepeatNGram(3)]}, {"no_repeat_ngram_size": 3}, 1),
    "source1": ({"rules": [NoSourceNGram(1)]}, {"encoder_no_repeat_ngram_size": 1}, 12),
    "source2": ({"rules": [NoSourceNGram(2)]}, {"encoder_no_repeat_ngram_size": 2}, 20),
    "minnew": ({"min_new_tokens": 7}, {"min_new_tokens": 7}, 6),
    "minlength": ({"rules": [MinLength(12)]}, {"min_length": 12}, 6),
    "words": ({"rules": [BadWords(tuple(map(tuple, WORDS)))]}, {"bad_words_ids": WORDS}, 6),
    "suppressed": ({"rules": [Suppressed(tuple(MANY))]}, {"suppress_tokens": MANY}, 6),
    "first": ({"rules": [ForcedFirst(20)]}, {"forced_bos_token_id": 20}, 1),
    "first, but not now": ({"rules": [ForcedFirst(20)]}, {"forced_bos_token_id": 20}, 3),
    "last": ({"rules": [ForcedLast((21,))]}, {"forced_eos_token_id": 21}, 6),
    "lasts": ({"rules": [ForcedLast((21, 8))]}, {"forced_eos_token_id": [21, 8]}, 6),
    "begin": ({"rules": [SuppressedFirst(tuple(MANY))]}, {"begin_suppress_tokens": MANY}, 6),
    "begin, forced": (
        {"rules": [SuppressedFirst(tuple(MANY)), ForcedFirst(20)]},
        {"begin_suppress_tokens": MANY, "forced_bos_token_id": 20},
        1,
    ),
    "renormalised": (
        {"rules": [Suppressed(tuple(MANY)), Renormalize(True)]},
        {"suppress_tokens": MANY, "renormalize_logits": True},
        6,
    ),
    "all": (
        {
            "rules": [Renormalize(True), ForcedLast((8,)), ForcedFirst(20), BadWords(((6,),))],
            "repetition_penalty": 1.3,
            "no_repeat_ngram": 3,
            "min_new_tokens": 4,
        },
        {
            "renormalize_logits": True,
            "forced_eos_token_id": 8,
            "forced_bos_token_id": 20,
            "bad_words_ids": [[6]],
            "repetition_penalty": 1.3,
            "no_repeat_ngram_size": 3,
            "min_new_tokens": 4,
        },
        1,
    ),
}
each = pytest.mark.parametrize("name", RULES)


def prompt(n: int, seed: int) -> torch.Tensor:
    return torch.randint(2, VOCAB, (1, n), generator=torch.Generator().manual_seed(seed))


def theirs(ids: torch.Tensor, **options: Any) -> list[list[int]]:
    fixed = {"max_new_tokens": NEW, "eos_token_id": list(STOP), "pad_token_id": PAD}
    mask = torch.ones_like(ids)
    return decoder("llama")[1].generate(ids, attention_mask=mask, **fixed, **options).tolist()


@each
def test_generate_obeys_as_the_reference_does(name: str) -> None:
    ours, options, length = RULES[name]
    model = decoder("llama")[0]
    for seed in range(6):
        ids = prompt(length, seed)
        found = generate(model, ids, max_new_tokens=NEW, stop=STOP, **ours)
        assert found.tolist() == theirs(ids, do_sample=False, **options)
        told = list(stream(model, ids, max_new_tokens=NEW, stop=STOP, **ours))
        assert told == found[0, length:].tolist()


@each
def test_beams_obey_as_the_reference_does(name: str) -> None:
    ours, options, length = RULES[name]
    model, reference = decoder("llama")
    fixed = {"max_new_tokens": NEW, "eos_token_id": list(STOP), "pad_token_id": PAD}
    for seed in range(4):
        ids = prompt(length, seed)
        several = {"num_beams": 3, "num_return_sequences": 2}
        wanted, texts = asked(reference, ids, torch.ones_like(ids), **several, **fixed, **options)
        scores, found = beam_search(
            model, ids, beams=3, returned=2, max_new_tokens=NEW, stop=STOP, **ours
        )
        unpadded = found.masked_fill(found == model.generation.pad, PAD)
        assert unpadded.tolist() == texts.tolist()
        torch.testing.assert_close(scores, wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in RULES if name != "none"])
def test_every_rule_changes_something(name: str) -> None:
    ours, _, length = RULES[name]
    model, plain = decoder("llama")[0], {"max_new_tokens": NEW, "stop": STOP, "beams": 3}
    changed = []
    for seed in range(8):
        found = beam_search(model, prompt(length, seed), **plain, **ours)
        without = beam_search(model, prompt(length, seed), **plain)
        changed.append(not torch.equal(found[1], without[1]) or found[0] != without[0])
    assert any(changed) == (name != "first, but not now")


@each
def test_a_ragged_batch_obeys_row_by_row(name: str) -> None:
    ours, _, length = RULES[name]
    model = decoder("llama")[0]
    rows = [prompt(n, seed)[0].tolist() for seed, n in enumerate((length, 1, length + 3, 2))]
    options = {"max_new_tokens": NEW, "stop": STOP, **ours}
    found = generate(model, rows, **options)
    scores, best = beam_search(model, rows, beams=3, **options)
    for row, ids in enumerate(rows):
        alone = generate(model, ids, **options)[0, len(ids) :].tolist()
        assert found[row, length + 3 :].tolist()[: len(alone)] == alone
        score, text = beam_search(model, ids, beams=3, **options)
        text = text[0, len(ids) :].tolist()
        assert best[row, length + 3 :].tolist()[: len(text)] == text
        torch.testing.assert_close(scores[row], score[0], atol=1e-5, rtol=1e-5)


@each
def test_a_checkpoint_says_the_same(name: str, tmp_path: Path) -> None:
    ours, options, length = RULES[name]
    model = decoder("llama")[0]
    transformers.GenerationConfig(**options).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "generation_config.json").read_text())
    before, model.generation = model.generation, read_generation(resolve(tmp_path))
    try:
        said = generate(model, prompt(length, 0), max_new_tokens=NEW, stop=STOP)
        back = model.generation.to_json()
    finally:
        model.generation = before
    assert torch.equal(
        said, generate(model, prompt(length, 0), max_new_tokens=NEW, stop=STOP, **ours)
    )
    assert {field: back[field] for field in options} == {f: written[f] for f in options}


def test_an_argument_takes_the_place_of_what_the_checkpoint_says(tmp_path: Path) -> None:
    model = Scripted(*[[5, 7, 5, 7, 5, 7]])
    model.generation = written(
        tmp_path, min_length=5, repetition_penalty=9.0, suppress_tokens=[7], eos_token_id=7
    )
    says = {"max_new_tokens": 4}
    assert generate(model, [3], **says).tolist() != [[3, 5, 7]]
    freed = {"repetition_penalty": 1, "rules": [Suppressed()]}
    assert generate(model, [3], **says, **freed).tolist()[0][2] != 7, "it is still too short"
    assert generate(model, [3], **says, **freed, min_new_tokens=0).tolist() == [[3, 5, 7]]


def test_rules_of_ones_own_read_the_draft() -> None:
    seen = []

    def odd(scores: torch.Tensor, draft: Any) -> torch.Tensor:
        seen.append((draft.ids.tolist(), draft.real.tolist(), draft.new, draft.most))
        return scores.index_fill(1, torch.arange(0, scores.shape[1], 2), -math.inf)

    found = generate(tiny(), [[4, 6], [8]], max_new_tokens=3, rules=[odd])
    assert (found[:, 2:] % 2 == 1).all()
    assert seen[0] == ([[4, 6], [0, 8]], [[True, True], [False, True]], 0, 3)
    assert seen[2][0] == [[4, 6, *found[0, 2:4].tolist()], [0, 8, *found[1, 2:4].tolist()]]
    _, best = beam_search(tiny(), [4, 6], max_new_tokens=3, rules=[odd])
    assert (best[:, 2:] % 2 == 1).all()


def test_rules_that_leave_nothing() -> None:
    nothing = {"rules": [Suppressed(tuple(range(23)))], "max_new_tokens": 2}
    for call in (generate, beam_search):
        with pytest.raises(GenerationError, match="rules") as caught:
            call(tiny(), [1], **nothing)
        assert caught.value.field == "rules"
    with pytest.raises(GenerationError, match="no token is left by Suppressed"):
        generate(tiny(), [1], temperature=1.0, **nothing)


@pytest.mark.parametrize("temperature", [0.0, 1e-4])
def test_a_row_that_has_ended_obeys_nothing(temperature: float) -> None:
    def silent(scores: torch.Tensor, draft: Any) -> torch.Tensor:
        ended = (draft.added == 5).any(1)
        return scores.masked_fill(ended[:, None], -math.inf)

    model = Scripted([5, 9, 9, 9], [1, 2, 3, 4], vocab=10)
    options = {"max_new_tokens": 4, "stop": 5, "rules": [silent], "temperature": temperature}
    found = generate(model, [[7], [8]], **options)
    assert found.tolist() == [[7, 5, 5, 5, 5], [8, 1, 2, 3, 4]]


def test_scores_are_made_probabilities_after_all_other_rules() -> None:
    def halved(scores: torch.Tensor, draft: Any) -> torch.Tensor:
        return scores.index_fill(1, torch.arange(0, scores.shape[1], 2), -math.inf)

    options = {"beams": 11, "returned": 11, "max_new_tokens": 1, "stop": ()}
    for rules in ([halved, Renormalize(True)], [Renormalize(True), halved]):
        scores, _ = beam_search(tiny(), [4, 6], rules=rules, **options)
        assert float(scores.exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("rule", [ForcedFirst(23), ForcedLast((1, 99))])
def test_forced_tokens_are_in_the_vocabulary(rule: Any) -> None:
    with pytest.raises(GenerationError, match="not in the vocabulary of 23"):
        generate(tiny(), [1], max_new_tokens=1, rules=[rule])


def test_other_tokens_outside_the_vocabulary_are_never_said_anyway() -> None:
    rules = [Suppressed((99,)), SuppressedFirst((23,)), BadWords(((99,), (99, 1), (1, 99)))]
    said = generate(tiny(), [1], max_new_tokens=3, rules=rules)
    assert torch.equal(said, generate(tiny(), [1], max_new_tokens=3))


def test_a_text_may_end_by_a_bad_word() -> None:
    rules = [BadWords(((5,), (7,)))]
    found = generate(Scripted([5, 5]), [3], max_new_tokens=2, stop=5, rules=rules)
    assert found.tolist() == [[3, 5]]
    found = generate(Scripted([5, 7]), [3], max_new_tokens=2, stop=(), rules=rules)
    assert not {5, 7} & set(found[0, 1:].tolist())


def test_padding_is_no_token_zero() -> None:
    """What stands before the shorter text of a batch looks like zeros."""
    draft = Draft(read_prompt([[1, 2, 3], [0], [4]], None, 10, pad=0), 5)
    free = torch.zeros(3, 10)

    def banned(rule: Any) -> list[list[int]]:
        rows = rule(free, draft)
        return [row.isneginf().nonzero()[:, 0].tolist() for row in rows]

    assert banned(NoRepeatNGram(1)) == [[1, 2, 3], [0], [4]]
    assert banned(NoRepeatNGram(2)) == [[], [], []]
    assert banned(BadWords(((0, 0, 7), (0, 4, 7), (2, 3, 7), (4, 8)))) == [[7], [], [8]]
    source = torch.tensor([[2, 3, 9], [0, 0, 9], [0, 4, 9]])
    draft.source = source, torch.ones_like(source, dtype=torch.bool)
    assert banned(NoSourceNGram(3)) == [[9], [], []]
    draft.source = source, source != 3
    assert banned(NoSourceNGram(3)) == [[], [], []]
    draft.source = source + 1, torch.ones_like(source, dtype=torch.bool)
    assert banned(NoSourceNGram(1)) == [[3, 4], [1], [1, 5]], "10 is not in this vocabulary"


def test_min_new_tokens_counts_what_is_added() -> None:
    model = Scripted([5, 5, 5, 5, 5])
    found = generate(model, [1, 2], max_new_tokens=5, stop=5, rules=[MinNewTokens(3)])
    assert found.shape == (1, 6) and found[0, -1] == 5 and 5 not in found[0, 2:5]
