"""Transcribing writes what the reference writes: told and heard languages, times, long sounds."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import blocks
from blocks import AudioError, GenerationError, LogMel, Timestamps
from blocks.generation.draft import Draft
from blocks.generation.prompt import Prompt
from tests.generation.speech import END, FIRST, NEW, RATE, SECONDS, START, VOCAB, Both, sound

Get = Callable[[int, bool], Both]


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Get:
    @cache
    def made(seed: int, timed: bool) -> Both:
        # The reference never ends where a model says times without being asked.
        silent = {} if timed else {"suppress_tokens": [3, 7, 20, *range(FIRST, VOCAB)]}
        return Both(tmp_path_factory.mktemp(f"speech{seed}"), seed, **silent)

    return made


SEEDS = range(3)


def same(ours: blocks.Transcript, wanted: tuple[list[int], list[Any]]) -> None:
    ids, segments = wanted
    assert list(ours.ids) == ids
    assert len(ours.segments) == len(segments)
    for one, (start, end, tokens) in zip(ours.segments, segments, strict=True):
        assert one.start == pytest.approx(start, abs=1e-6)
        assert one.end == pytest.approx(end, abs=0.021)  # the reference knows 20 ms alone
        assert list(one.ids) == tokens.tolist()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("language", ["de", None])
@pytest.mark.parametrize("task", ["transcribe", "translate"])
def test_one_window(get: Get, seed: int, timed: bool, language: str | None, task: str) -> None:
    it, wave = get(seed, timed), sound(SECONDS, seed)
    wanted = it.wants(wave, language=language, task=task, return_timestamps=timed)
    how = {"language": language, "task": task, "timestamps": timed, "max_new_tokens": NEW}
    ours = blocks.transcribe(it.ours, wave, **how)
    same(ours, wanted)
    assert ours.language == language or (language is None and ours.language in ("en", "de", "fr"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("seconds", "language"), [(1.01, "en"), (2.0, None), (2.37, "fr")])
def test_a_long_sound(get: Get, seed: int, seconds: float, language: str | None) -> None:
    it, wave = get(seed, True), sound(seconds, seed)
    wanted = it.wants(wave, language=language, task="transcribe")
    ours = blocks.transcribe(it.ours, wave, language=language, max_new_tokens=NEW)
    same(ours, wanted)
    assert len(ours.segments) > 1 and max(ours.ids) >= FIRST


def test_as_many_tokens_as_fit(get: Get) -> None:
    it, wave = get(0, False), sound(SECONDS)
    ours = blocks.transcribe(it.ours, wave, language="<|EN|>")
    few = blocks.transcribe(it.ours, wave, language="en", max_new_tokens=4)
    assert few.ids == ours.ids[:4] and len(ours.ids) <= 64 - 4
    assert (few.segments[0].start, few.segments[0].end, few.text) == (0, SECONDS, None)


def test_a_short_sound_ends_with_its_samples(get: Get) -> None:
    it, wave = get(1, True), sound(0.5)
    ours = blocks.transcribe(it.ours, wave, language="en", timestamps=True, max_new_tokens=NEW)
    theirs, _ = it.wants(wave, language="en", task="transcribe", return_timestamps=True)
    assert list(ours.ids) == theirs[: len(ours.ids)] and ours.ids
    assert ours.segments[-1].start < 0.5


def test_a_model_in_training_is_asked_as_it_will_be(get: Get) -> None:
    model = copy.deepcopy(get(2, False).ours)
    wanted = blocks.transcribe(model, sound(SECONDS), max_new_tokens=NEW)
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout | blocks.Residual):
            setattr(part, "p" if isinstance(part, torch.nn.Dropout) else "dropout", 0.5)
    model.train()
    assert blocks.transcribe(model, sound(SECONDS), max_new_tokens=NEW) == wanted
    assert model.training


@pytest.mark.parametrize("seed", SEEDS)
def test_times_that_nobody_asked_for_end_too(get: Get, seed: int) -> None:
    found = blocks.transcribe(get(seed, True).ours, sound(SECONDS), max_new_tokens=NEW)
    assert found.ids


def test_a_file_a_list_and_its_own_front_end(get: Get, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="the extra [audio] is not installed")
    it, wave = get(2, False), sound(SECONDS).clamp(-1, 1)
    how: dict[str, Any] = {"language": "en", "max_new_tokens": NEW}
    wanted = blocks.transcribe(it.ours, wave, **how)
    soundfile.write(tmp_path / "a.wav", wave.numpy(), RATE, subtype="FLOAT")
    for form in (tmp_path / "a.wav", str(tmp_path / "a.wav"), wave.tolist(), wave[None]):
        assert blocks.transcribe(it.ours, form, rate=RATE, **how) == wanted
    same_ears = LogMel(mels=8, seconds=SECONDS)
    assert blocks.transcribe(it.ours, wave, features=same_ears, **how) == wanted
    other = blocks.transcribe(it.ours, wave, features=LogMel(mels=8, seconds=1, high=900.0), **how)
    assert other != wanted


class Words:
    """A tokenizer whose words are the tokens' numbers."""

    def decode(self, ids: Any) -> str:
        return "".join(f" {i}" for i in ids)

    def id(self, token: str) -> int | None:
        return {"<|nl|>": 67, "<|notimestamps|>": FIRST - 1, "<|transcribe|>": 65}.get(token)


def test_text(get: Get) -> None:
    it = get(0, True)
    how: dict[str, Any] = {"language": "en", "timestamps": True, "tokenizer": Words()}
    found = blocks.transcribe(it.ours, sound(2.0), max_new_tokens=NEW, **how)
    words = [str(i) for i in found.ids if i < END]
    assert found.text is not None and found.text.split() == words and str(found) == found.text
    assert "".join(str(s.text) for s in found.segments).split() == words
    told = found.to_json()
    assert told["language"] == "en" and told["text"] == found.text
    assert [row["start"] for row in told["segments"]] == [s.start for s in found.segments]


def changed(get: Get, **other: Any) -> Any:
    """Our model with other things said of generation."""
    model = copy.copy(get(0, False).ours)
    more = {name: value for name, value in other.items() if name != "start"}
    kept = {**model.generation.other, **more}
    left = {name: value for name, value in kept.items() if value is not None}
    own = {"start": other["start"]} if "start" in other else {}
    model.generation = dataclasses.replace(model.generation, other=left, **own)
    return model


def test_a_model_of_one_language(get: Get) -> None:
    reference = get(0, False).reference
    reference = copy.deepcopy(reference)
    reference.generation_config.is_multilingual = False
    del reference.generation_config.lang_to_id, reference.generation_config.task_to_id
    frames = get(0, False).extractor(sound(SECONDS).numpy(), sampling_rate=RATE)["input_features"]
    with torch.no_grad():
        wanted = reference.generate(torch.tensor(frames), max_new_tokens=NEW, do_sample=False)
    model = copy.copy(get(0, False).ours)
    other = dict(model.generation.other) | {"is_multilingual": False}
    model.generation = dataclasses.replace(model.generation, other=other)
    found = blocks.transcribe(model, sound(SECONDS), max_new_tokens=NEW)
    assert list(found.ids) == wanted[0].tolist() and found.language is None
    with pytest.raises(GenerationError, match="language"):
        blocks.transcribe(model, sound(SECONDS), language="de")
    with pytest.raises(GenerationError, match="translate"):
        blocks.transcribe(model, sound(SECONDS), task="translate")


def test_what_the_files_leave_out_the_tokenizer_knows(get: Get) -> None:
    bare = changed(get, lang_to_id=None, task_to_id=None, no_timestamps_token_id=None)
    how: dict[str, Any] = {"max_new_tokens": 5, "language": "nl"}
    ours = blocks.transcribe(bare, sound(SECONDS), tokenizer=Words(), **how)
    wanted = blocks.generate(
        get(0, False).ours,
        LogMel(mels=8, seconds=1)(sound(SECONDS))[0],
        start=[START, 67, 65, FIRST - 1],
        max_new_tokens=5,
    )
    assert list(ours.ids) == wanted[0, 4:].tolist()
    with pytest.raises(GenerationError, match="'nl' is no language"):
        blocks.transcribe(bare, sound(SECONDS), language="nl")
    with pytest.raises(GenerationError, match="which tokens are times"):
        blocks.transcribe(bare, sound(SECONDS), timestamps=True)


@pytest.mark.parametrize(
    ("how", "kind", "reason"),
    [
        ({"language": "xx"}, GenerationError, "'xx' is no language .* known: de, en, fr"),
        ({"task": "sing"}, GenerationError, "'sing' is neither"),
        ({"rate": 44100}, AudioError, "44100 samples a second, the model hears 16000"),
        ({"audio": torch.zeros(0)}, AudioError, "nothing to hear"),
        ({"audio": torch.zeros(2, 900)}, AudioError, "one sound at a time, not 2"),
        ({"audio": "nowhere.wav"}, AudioError, "no such file"),
        ({"max_new_tokens": 61}, GenerationError, "exceed the model's context of 64"),
        ({"features": blocks.NormedWaveform()}, GenerationError, "LogMel"),
        ({"features": LogMel(mels=9, seconds=1)}, GenerationError, r"frames, 8\]"),
    ],
)
def test_what_cannot_be_transcribed(get: Get, how: Any, kind: type, reason: str) -> None:
    options = {"audio": sound(SECONDS), "language": "en"} | how
    with pytest.raises(kind, match=reason):
        blocks.transcribe(get(0, True).ours, options.pop("audio"), **options)


def test_checkpoints_that_say_too_little_or_nonsense(get: Get) -> None:
    for other, field in (
        ({"start": None}, "generation"),
        ({"lang_to_id": {"<|en|>": 5000}}, "en"),
        ({"lang_to_id": [1]}, "lang_to_id"),
        ({"no_timestamps_token_id": "x"}, "no_timestamps_token_id"),
    ):
        with pytest.raises(GenerationError) as caught:
            blocks.transcribe(changed(get, **other), sound(SECONDS))
        assert field in str(caught.value.field)
    loose = copy.copy(get(0, True).ours)
    loose.origin = None
    with pytest.raises(AudioError, match="loaded from nowhere"):
        blocks.transcribe(loose, sound(SECONDS))


def test_times_obey_the_reference_s_rule() -> None:
    from transformers.generation.logits_process import WhisperTimeStampLogitsProcessor

    draw = torch.Generator().manual_seed(0)
    for latest in (None, 4):
        said = {"no_timestamps_token_id": 19, "eos_token_id": 10, "bos_token_id": 10}
        theirs = WhisperTimeStampLogitsProcessor(
            SimpleNamespace(**said, max_initial_timestamp_index=latest), begin_index=2
        )
        rule = Timestamps(first=20, end=10, latest=latest)
        for new in range(6):
            for _ in range(20):
                prompt = Prompt(*[torch.zeros(3, 2, dtype=torch.int64)] * 2, None, [2, 2, 2])
                draft = Draft(prompt, 8)
                for _ in range(new):
                    draft.append(torch.randint(0, 30, (3,), generator=draw))
                scores = torch.randn(3, 30, generator=draw) * 2
                kept = scores.clone()
                assert torch.equal(rule(scores, draft), theirs(draft.ids, scores.clone()))
                assert torch.equal(scores, kept)
    with pytest.raises(GenerationError, match="before"):
        Timestamps(first=5, end=5)
