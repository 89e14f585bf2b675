"""Where a text ends: ids, strings across tokens, and what the checkpoint says."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer as Trained
from tokenizers import decoders, models, pre_tokenizers

from blocks import GenerationError, Tokenizer, generate, stream
from blocks.hub.defaults import GenerationDefaults
from tests.generation.tiny import Scripted, tiny, uncached

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
PIECES = {char: i for i, char in enumerate(ALPHABET)} | {"EN": 256, "D.": 257, "xE": 258}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    trained = Trained(models.BPE(PIECES, [("E", "N"), ("D", "."), ("x", "E")]))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    trained.decoder = decoders.ByteLevel()  # pyright: ignore
    return Tokenizer.from_backend(trained)


def ids(text: str) -> list[int]:
    """One token a byte."""
    table = Trained(models.BPE({c: i for i, c in enumerate(ALPHABET)}, []))
    table.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
    return table.encode(text).ids


def said(model: Any, new: int = 20, **options: Any) -> list[list[int]]:
    prompts = [[1]] * len(model.scripts)
    return generate(model, prompts, max_new_tokens=new, **options)[:, 1:].tolist()


def defaults(model: Any, **fields: Any) -> Any:
    model.generation = GenerationDefaults(**fields)
    return model


def test_an_id_ends_a_row_and_is_given() -> None:
    assert said(Scripted([5, 6, 7, 8]), 4, stop=7) == [[5, 6, 7]]
    assert said(Scripted([5, 6, 7, 8]), 4, stop=[8, 6]) == [[5, 6]]
    assert list(stream(Scripted([5, 6, 7]), [1], max_new_tokens=3, stop=6)) == [5, 6]


def test_without_stop_all_tokens_come() -> None:
    assert said(Scripted([5, 6, 7, 8]), 4) == [[5, 6, 7, 8]]
    assert said(Scripted([5, 6, 7, 8]), 4, stop=()) == [[5, 6, 7, 8]]


def test_a_row_that_ended_is_padded_while_others_go_on() -> None:
    model = Scripted([5, 9, 7, 7, 7], [5, 5, 5, 9, 7])
    assert said(model, 5, stop=9) == [[5, 9, 9, 9], [5, 5, 5, 9]]
    model = defaults(Scripted([5, 9, 7, 7, 7], [5, 5, 5, 9, 7]), eos=(9,), pad=2)
    assert said(model, 5) == [[5, 9, 2, 2], [5, 5, 5, 9]]


def test_the_checkpoint_says_what_ends_a_text() -> None:
    model = defaults(Scripted([5, 6, 7, 8]), eos=(7, 6))
    assert said(model, 4) == [[5, 6]]
    assert said(model, 4, stop=8) == [[5, 6, 7, 8]], "stop takes its place"
    assert said(model, 4, stop=()) == [[5, 6, 7, 8]]
    assert said(defaults(Scripted([5, 6]), eos=()), 2) == [[5, 6]]


def test_a_string_in_one_token(tokenizer: Any) -> None:
    model = Scripted([258, 256, 257, 5], vocab=300)
    assert said(model, 4, stop="EN", tokenizer=tokenizer) == [[258, 256]]


@pytest.mark.parametrize("stop", ["END.", ["nothing", "END."], "ND", "xEEND"])
def test_a_string_across_tokens(tokenizer: Any, stop: Any) -> None:
    model = Scripted([258, 256, 257, 5, 6], vocab=300)  # xE EN D.
    assert said(model, 5, stop=stop, tokenizer=tokenizer) == [[258, 256, 257]]


def test_a_string_across_a_character_in_parts(tokenizer: Any) -> None:
    script = ids("aé!bc")
    assert len(script) == 6
    assert said(Scripted(script), 6, stop="é!", tokenizer=tokenizer) == [script[:4]]
    assert said(Scripted(script), 6, stop="é", tokenizer=tokenizer) == [script[:3]]


def test_strings_and_ids_together_a_row_each(tokenizer: Any) -> None:
    one, two, three = ids("hello stop"), ids("abcd!fghij"), ids("stop......")
    found = said(Scripted(one, two, three), 10, stop=["stop", two[4]], tokenizer=tokenizer)
    pad = two[4]
    assert found[0] == one
    assert found[1] == two[:5] + [pad] * 5 and found[2] == three[:4] + [pad] * 6


def test_the_prompt_does_not_count(tokenizer: Any) -> None:
    model = Scripted(ids("D. and on"))
    answer = generate(model, ids("EN"), stop="END", tokenizer=tokenizer, max_new_tokens=9)
    assert answer.shape == (1, 11)


def test_every_beginning_of_a_string_is_found(tokenizer: Any) -> None:
    text = "aaab aab"
    assert said(Scripted(ids(text)), 8, stop="aab", tokenizer=tokenizer) == [ids("aaab")]


@pytest.mark.parametrize("stop", [1.5, [None], "", ["a", ""], [True], True, [[1]]])
def test_bad_stops(stop: Any, tokenizer: Any) -> None:
    with pytest.raises(GenerationError, match="stop"):
        generate(tiny(), [1], stop=stop, tokenizer=tokenizer)


def test_strings_need_a_tokenizer() -> None:
    with pytest.raises(GenerationError, match="tokenizer="):
        generate(tiny(), [1], stop="x")


def test_a_model_of_ours_ends_where_it_is_told() -> None:
    model, prompt = tiny(), [3, 1, 4]
    whole = uncached(model, prompt, 10)
    end = whole[6]
    wanted = whole[: whole.index(end, 3) + 1]
    assert generate(model, prompt, max_new_tokens=10, stop=end).tolist() == [wanted]
