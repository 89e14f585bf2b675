"""Encoder–decoders: answers begin with their start and are what no memory gives."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from blocks import (
    Chain,
    CrossAttention,
    EncoderDecoder,
    ForcedFirst,
    Full,
    GenerationError,
    GQAttention,
    LayerStack,
    LongRoPEScaling,
    NoSourceNGram,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    TokenEmbedding,
    addresses,
    beam_search,
    generate,
    stream,
)
from blocks.hub.defaults import GenerationDefaults
from tests.generation.tiny import tiny

VOCAB = 19
SOURCES = [[3, 1, 4, 1, 5, 9], [2, 6], [5, 3, 5, 8]]
QK = (Spec(RoPE, theta=50.0),)


def built(
    *, vocab: int = VOCAB, qk: tuple[Any, ...] = QK, embedding: Any = TokenEmbedding, **options: Any
) -> EncoderDecoder:
    def layer(**inner: Any) -> Spec:
        return Spec(
            Chain,
            steps={name: Spec(Residual, inner=i, norm_in=RMSNorm) for name, i in inner.items()},
        )

    reads = layer(attention=Spec(GQAttention, heads=2, qk=QK, mask=Full()))
    writes = layer(attention=Spec(GQAttention, heads=2, qk=qk), cross=Spec(CrossAttention, heads=2))
    model = EncoderDecoder(
        vocab=vocab,
        dim=8,
        encoder=Spec(LayerStack, layers=(reads,) * 2, norm=RMSNorm, embedding=embedding),
        decoder=Spec(LayerStack, layers=(writes,) * 2, norm=RMSNorm),
        **options,
    )
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.6)
    return model.double().eval()


def uncached(model: Any, source: Any, start: list[int], new: int) -> list[int]:
    ids = list(start)
    source = source if isinstance(source, torch.Tensor) else torch.tensor([source])
    with torch.no_grad():
        for _ in range(new):
            ids.append(int(model(source, torch.tensor([ids]))[0, -1].argmax()))
    return ids


@pytest.mark.parametrize("source", SOURCES)
def test_an_answer_is_what_no_memory_gives(source: list[int]) -> None:
    model = built()
    found = generate(model, source, start=7, max_new_tokens=9)
    assert found.tolist() == [uncached(model, source, [7], 9)]
    assert list(stream(model, source, start=7, max_new_tokens=9)) == found[0, 1:].tolist()
    assert torch.equal(generate(model, torch.tensor(source), start=7, max_new_tokens=9), found)


def test_a_source_changes_the_answer() -> None:
    answers = [tuple(uncached(built(), source, [7], 9)) for source in SOURCES]
    assert len(set(answers)) == 3


@pytest.mark.parametrize("side", ["lists", "left", "right"])
def test_ragged_sources(side: str) -> None:
    model, longest = built(), max(map(len, SOURCES))
    tokens: Any = SOURCES
    mask = None
    if side != "lists":
        tokens = torch.full((3, longest), 11)
        mask = torch.zeros(3, longest, dtype=torch.bool)
        for row, source in enumerate(SOURCES):
            n = len(source)
            place = slice(0, n) if side == "right" else slice(longest - n, longest)
            tokens[row, place], mask[row, place] = torch.tensor(source), True
    options = {"start": 7, "mask": mask, "max_new_tokens": 9}
    wanted = [uncached(model, source, [7], 9) for source in SOURCES]
    assert generate(model, tokens, **options).tolist() == wanted
    scores, found = beam_search(model, tokens, beams=3, returned=2, **options)
    for row, source in enumerate(SOURCES):
        score, alone = beam_search(model, source, beams=3, returned=2, start=7, max_new_tokens=9)
        assert found[2 * row : 2 * row + 2].tolist() == alone.tolist()
        torch.testing.assert_close(scores[2 * row : 2 * row + 2], score, atol=1e-5, rtol=0)


def test_a_model_that_has_read_continues_its_answer() -> None:
    model, source = built(), torch.tensor([SOURCES[0]])
    ids = [[7, 2, 5]]
    found = generate(model.given(source), ids, max_new_tokens=5)
    assert found.tolist() == [uncached(model, source, ids[0], 5)]
    best = beam_search(model.given(source), ids, max_new_tokens=5)
    assert torch.equal(best[1], beam_search(model, source, start=ids, max_new_tokens=5)[1])


def test_forms_of_a_start() -> None:
    model = built()
    wanted = [uncached(model, source, [7, 2], 4) for source in SOURCES]
    forms: list[Any] = [[7, 2], (7, 2), torch.tensor([7, 2]), [[7, 2]] * 3]
    for start in [*forms, torch.tensor([[7, 2]] * 3)]:
        assert generate(model, SOURCES, start=start, max_new_tokens=4).tolist() == wanted
    ragged = generate(model, SOURCES, start=[[7], [7, 2], [5, 6, 7]], max_new_tokens=4)
    for row, (source, start) in enumerate(zip(SOURCES, ([7], [7, 2], [5, 6, 7]), strict=True)):
        assert ragged[row, 3:].tolist() == uncached(model, source, start, 4)[len(start) :]


def test_the_checkpoint_names_the_start() -> None:
    model = built()
    with pytest.raises(GenerationError, match="pass start=") as caught:
        generate(model, SOURCES)
    assert caught.value.field == "start"
    model.generation = GenerationDefaults(bos=3)
    assert generate(model, SOURCES, max_new_tokens=2)[:, 0].tolist() == [3] * 3
    model.generation = GenerationDefaults(bos=3, start=7)
    assert generate(model, SOURCES, max_new_tokens=2)[:, 0].tolist() == [7] * 3
    assert generate(model, SOURCES, max_new_tokens=2, start=5)[:, 0].tolist() == [5] * 3


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_the_best_answer_of_all(penalty: float) -> None:
    model, source, end, new = built(vocab=5), [2, 1, 4], 3, 3
    texts = {
        tuple(text[: text.index(end) + 1] if end in text else text)
        for text in itertools.product(range(5), repeat=new)
    }

    def score(text: tuple[int, ...]) -> float:
        with torch.no_grad():
            logits = model(torch.tensor([source]), torch.tensor([[0, *text]]))[0].log_softmax(-1)
        total = sum(float(logits[i, token]) for i, token in enumerate(text))
        return total / len(text) ** penalty

    best = max(texts, key=score)
    options = {"length_penalty": penalty, "early_stopping": "never", "stop": end, "start": 0}
    scores, found = beam_search(model, source, beams=5**new, max_new_tokens=new, **options)
    assert tuple(found[0, 1:].tolist()) == best
    assert float(scores) == pytest.approx(score(best), abs=1e-5)


def test_rules_see_source_and_answer() -> None:
    model = built()
    plain = generate(model, SOURCES, start=7, max_new_tokens=9)
    rules = [NoSourceNGram(1), ForcedFirst(13)]
    for call in (generate, lambda *a, **k: beam_search(*a, beams=3, **k)[1]):
        found = call(model, SOURCES, start=7, max_new_tokens=9, rules=rules)
        assert found[:, :2].tolist() == [[7, 13]] * 3
        for source, row in zip(SOURCES, found.tolist(), strict=True):
            assert not set(source) & set(row[2:])
    assert any(set(s) & set(row[2:]) for s, row in zip(SOURCES, plain.tolist(), strict=True))


def test_angles_that_change_are_computed_anew() -> None:
    long = LongRoPEScaling((1.0, 2.0), (3.0, 7.0), trained=5, short_magnitude=1.1)
    model = built(qk=(Spec(RoPE, theta=50.0, scaling=long),))
    wanted = [uncached(model, source, [7], 9) for source in SOURCES]
    assert generate(model, SOURCES, start=7, max_new_tokens=9).tolist() == wanted
    scores, _ = beam_search(model, SOURCES, start=7, max_new_tokens=9)
    for source, score in zip(SOURCES, scores, strict=True):
        alone, _ = beam_search(model, source, start=7, max_new_tokens=9)
        torch.testing.assert_close(score[None], alone, atol=1e-5, rtol=0)


class Frames(torch.nn.Linear):
    """An embedding that reads frames."""

    reads_frames = True


def test_frames_are_sources_too() -> None:
    frames = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1)).double()
    model = built(source=6, embedding=Spec(Frames))
    found = generate(model, frames, start=7, max_new_tokens=5)
    assert found.tolist() == [uncached(model, each[None], [7], 5) for each in frames]
    assert torch.equal(generate(model, frames[0], start=7, max_new_tokens=5), found[:1])
    for wrong in ([1, 2], torch.zeros(3), None):
        with pytest.raises(GenerationError, match="frames"):
            generate(model, wrong, start=7)


def test_the_context_is_of_the_answer() -> None:
    model = built(context=4)
    assert generate(model, SOURCES[0], start=7, max_new_tokens=3).shape == (1, 4)
    with pytest.raises(GenerationError, match="at most 3 fit"):
        generate(model, SOURCES[0], start=7, max_new_tokens=4)


def test_the_model_is_left_as_it_was() -> None:
    model = built().train()
    next(stream(model, SOURCES[0], start=7))
    beam_search(model, SOURCES[0], start=7, max_new_tokens=2)
    assert model.training


@pytest.mark.parametrize("place", ["encoder.layers.1.attention.q.weight", "head.weight"])
def test_weights_that_are_not_finite_are_named(place: str) -> None:
    model = built()
    with torch.no_grad():
        addresses(model)[place][0, 0] = float("nan")
    for call in (generate, beam_search):
        with pytest.raises(GenerationError, match="not finite") as caught:
            call(model, SOURCES, start=7)
        assert caught.value.tensor == place


def test_an_encoder_that_overflows_is_named() -> None:
    model = built().float()
    with torch.no_grad():
        addresses(model)["encoder.layers.1.attention.out.weight"].fill_(3e38)
    with pytest.raises(GenerationError, match=r"encoder\.layers\.1\.attention\.out"):
        generate(model, SOURCES, start=7)


BAD: list[tuple[Any, dict[str, Any], str]] = [
    ([], {"start": 7}, "token ids"),
    ([[1], []], {"start": 7}, "row 1 is empty"),
    ([1, VOCAB], {"start": 7}, "not in the vocabulary"),
    ([1], {"start": VOCAB}, "start: token 19 is not in"),
    ([1], {"start": []}, "start"),
    ([1], {"start": "7"}, "start"),
    ([1], {"start": [[7], [7]]}, "2 beginnings of answers to 1 sources"),
]


@pytest.mark.parametrize(("source", "options", "words"), BAD)
def test_what_cannot_be_answered(source: Any, options: dict[str, Any], words: str) -> None:
    for call in (generate, beam_search, lambda *a, **k: next(stream(*a, **k))):
        with pytest.raises(GenerationError, match=words):
            call(built(), source, max_new_tokens=2, **options)


def test_a_model_that_continues_has_no_start() -> None:
    with pytest.raises(GenerationError, match="begins with its prompt") as caught:
        generate(tiny(), [1], start=3)
    assert caught.value.field == "start"
