"""Transcribing: sound in, text out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.audio.files import read_audio
from blocks.audio.logmel import LogMel
from blocks.audio.preprocessor import FrontEnd, features_of
from blocks.audio.spectrum import waveforms
from blocks.errors import AudioError, GenerationError
from blocks.generation.finite import check_finite
from blocks.generation.loop import generate
from blocks.generation.marks import Marks, bare
from blocks.generation.origin import source_of
from blocks.generation.rulebook import defaults_of
from blocks.generation.transcript import Segment, Transcript
from blocks.models.encoder_decoder import EncoderDecoder
from blocks.models.hearing import FrameEncoder
from blocks.step import Step
from blocks.text.letters import Letters
from blocks.text.tokenizer import Tokenizer

__all__ = ["transcribe"]

_MOST = 448  # tokens of a window, where a model has no bound of its own
_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")


@torch.no_grad()
def transcribe(
    model: nn.Module,
    audio: Any,
    *,
    rate: int | None = None,
    language: str | None = None,
    task: str = "transcribe",
    timestamps: bool = False,
    max_new_tokens: int | None = None,
    features: FrontEnd | None = None,
    tokenizer: Any = None,
) -> Transcript:
    """Writes down what is said in a sound.

    A sound longer than the model hears at once is heard window by window; each begins where the
    last said time of the one before was, and times are then always said.

    Args:
        model: of speech: Whisper, or one with a CTC head such as Parakeet, which is told neither
            language nor task, and says no times.
        audio: a sound file, or a waveform [N] of floats between -1 and 1.
        rate: samples a second of the waveform, to be checked against the model's; a file is
            resampled.
        language: a code such as `en`; None lets the model tell.
        task: `transcribe`, or `translate` into English.
        timestamps: whether the model says times, which cut the text into segments.
        max_new_tokens: how many tokens a window may have at most; None is as many as fit.
        features: what makes frames of the waveform; None is the checkpoint's own.
        tokenizer: makes text of tokens; None is the checkpoint's own, if it has one.

    Errors:
        AudioError: a file or waveform from which nothing can be heard, or one of another rate.
        GenerationError: a model that doesn't hear, a language or task that it doesn't know.

    Example:
        >>> import blocks, torch
        >>> blocks.transcribe(blocks.from_pretrained(blocks.packaged()), torch.zeros(16000))
        Traceback (most recent call last):
        blocks.errors.GenerationError: model: CausalLM doesn't hear. Hint: Whisper does
    """
    if not isinstance(model, FrameEncoder | EncoderDecoder) or not model.frames:
        name = type(model).__name__
        raise GenerationError(f"{name} doesn't hear", field="model", hint="Whisper does")
    if isinstance(model, FrameEncoder) and model.vocab is None:
        raise GenerationError("it hears, and names no tokens", field="model")
    features = _features(model) if features is None else features
    tokenizer = _tokenizer(model) if tokenizer is None else tokenizer
    wave = _wave(audio, rate, features)
    if isinstance(model, FrameEncoder):
        asked = {"language": language, "timestamps": timestamps, "max_new_tokens": max_new_tokens}
        for name, value in {**asked, "task": task != "transcribe"}.items():
            if value:
                raise GenerationError("a CTC model names sounds, and knows none of it", field=name)
        with evaluating(model):
            return _named_sounds(model, features, tokenizer, wave)
    if not isinstance(features, LogMel) or features.seconds is None:
        raise GenerationError("it hears a LogMel of some seconds at once", field="features")
    with evaluating(model):
        listening = Listening(model, features, tokenizer, wave, most=max_new_tokens)
        return listening.transcript(language, task, timed=timestamps)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; afterwards it is as it was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _named_sounds(
    model: FrameEncoder, features: FrontEnd, tokenizer: Any, wave: Tensor
) -> Transcript:
    """The likeliest token of each place, without repetitions and blanks."""
    blank = defaults_of(model).pad
    if blank is None:
        raise GenerationError(
            "which token is the blank is not known",
            field="generation",
            hint="config.json says it: pad_token_id",
        )
    first = next(model.parameters())
    frames, _ = features(wave)
    frames = frames.to(first.device, first.dtype)
    logits = model(frames)[0]  # T' V
    check_finite(model, logits, lambda: model(frames))
    ids = torch.unique_consecutive(logits.argmax(-1)).tolist()
    said = tuple(id for id in ids if id != blank)
    text = None if tokenizer is None else tokenizer.decode(said)
    return Transcript((Segment(0.0, len(wave) / features.rate, said, text),))


class Listening:
    """One sound that is heard window by window.

    Args:
        model: hears.
        features: what makes its frames.
        tokenizer: None for tokens alone.
        wave: [N].
        most: how many tokens a window may have at most.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        features: LogMel,
        tokenizer: Any,
        wave: Tensor,
        most: int | None,
    ):
        self.model, self.tokenizer, self.most = model, tokenizer, most
        self.marks = Marks.of(model, tokenizer)
        size = (features.seconds or 0) * features.rate
        self.long, self.window = len(wave) > size, size // features.hop
        first = next(model.parameters())
        made, _ = (features.whole() if self.long else features)(wave)
        self.frames = made.to(first.device, first.dtype)  # 1 T C
        self.end = max(1, len(wave) // features.hop)  # what follows is silence that was filled in
        places = model.encoder.shrunk(Step(torch.arange(self.window)[None])).positions
        # A token of time stands for one place of what the encoder gives.
        self.stride = self.window // places.shape[1]
        self.seconds = features.hop / features.rate

    def transcript(self, language: str | None, task: str, *, timed: bool) -> Transcript:
        """All windows, one after the other."""
        token, timed = None, timed or self.long
        if language is not None:
            token = self.marks.language_of(language, self.tokenizer)
            language = bare(language)
        elif self.marks.languages:
            start = torch.tensor([[self.marks.start]], device=self.frames.device)
            language = self.marks.spoken(self.model(self._cut(0), start)[0, -1])
            token = self.marks.languages[language]
        begin = self.marks.begin(token, task, timed=timed)
        segments: list[Segment] = []
        seek = 0
        while seek < self.end:
            left = min(self.window, self.end - seek)
            found, heard = self._segments(self._said(begin, seek, timed), seek, left)
            segments += found
            seek += heard if heard > 0 else left
        return Transcript(tuple(segments), language)

    def _cut(self, seek: int) -> Tensor:
        """One window of frames, zeros after the last."""
        frames = self.frames[:, seek : seek + self.window]
        return F.pad(frames, (0, 0, 0, self.window - frames.shape[1]))

    def _said(self, begin: list[int], seek: int, timed: bool) -> list[int]:
        """The tokens of one window."""
        context = self.model.context
        most = self.most
        if most is None:
            most = _MOST if context is None else context - len(begin)
        rules = self.marks.rules if timed else []
        options: dict[str, Any] = {"start": begin, "rules": rules, "stop": self.marks.end}
        ids = generate(self.model, self._cut(seek), max_new_tokens=most, **options)[0]
        said = ids[len(begin) :].tolist()
        return said[:-1] if said[-1] == self.marks.end else said

    def _segments(self, said: list[int], seek: int, left: int) -> tuple[list[Segment], int]:
        """A window's tokens cut where two times meet, and how many of its frames are done with.

        What follows the last pair of times is heard again with the next window, unless the last
        token is a single time: nothing is said after it.
        """
        first = self.model.vocab if self.marks.first is None else self.marks.first
        timed = [token >= first for token in said]
        cuts = [i + 1 for i in range(len(said) - 1) if timed[i] and timed[i + 1]]
        alone = timed[-2:] == [False, True]
        if not cuts:
            times = [token - first for token in said if token >= first]
            until = times[-1] * self.stride if times and times[-1] else left
            return [self._segment(said, seek, seek + until)], left
        if alone:
            cuts.append(len(said))
        else:
            cuts[-1] += 1  # the last segment has both its times
        found: list[Segment] = []
        for begin, end in pairwise([0, *cuts]):
            closing = said[end - 2] if end == cuts[-1] and not alone else said[end - 1]
            ends = [max(0, token - first) * self.stride for token in (said[begin], closing)]
            found.append(self._segment(said[begin:end], *(seek + place for place in ends)))
        return found, left if alone else (said[cuts[-1] - 2] - first) * self.stride

    def _segment(self, ids: list[int], start: int, end: int) -> Segment:
        words = [token for token in ids if token < self.marks.end]  # the rest are marks
        text = None if self.tokenizer is None else self.tokenizer.decode(words)
        return Segment(start * self.seconds, end * self.seconds, tuple(ids), text)


def _wave(audio: Any, rate: int | None, features: FrontEnd) -> Tensor:
    """The waveform [N] at the rate that the front end wants."""
    if rate is not None and rate != features.rate:
        raise AudioError(
            f"this waveform has {rate} samples a second, the model hears {features.rate}",
            field="rate",
            hint=f"read_audio(path, rate={features.rate}) resamples a file",
        )
    if isinstance(audio, str | os.PathLike):
        return read_audio(Path(audio), features.rate)
    waves = waveforms(audio)
    if len(waves) != 1:
        raise AudioError(f"one sound at a time, not {len(waves)}", field="audio")
    return waves[0]


def _features(model: Any) -> FrontEnd:
    """The front end of the checkpoint that the model was loaded from."""
    source = source_of(model)
    if source is None:
        raise AudioError(
            "how this model hears is not known: it was loaded from nowhere",
            field="features",
            hint="pass features=, a LogMel() for instance",
        )
    return features_of(source)


def _tokenizer(model: Any) -> Any:
    """What makes text of that checkpoint's tokens; None where it has nothing for it."""
    source = source_of(model)
    if source is None or not any(source.has(name) for name in _VOCABULARIES):
        return None
    letters = not source.has("tokenizer.json") and not source.has("merges.txt")
    if letters and source.has("vocab.json"):
        return Letters.from_source(source)
    return Tokenizer.from_source(source)
