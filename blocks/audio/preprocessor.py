"""preprocessor_config.json: which front end a checkpoint listens with."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from blocks.audio.logmel import LogMel
from blocks.audio.normed import NormedLogMel
from blocks.audio.spectrum import mel_filters
from blocks.audio.waveform import NormedWaveform
from blocks.errors import AudioError
from blocks.hub.config import Config, read_json
from blocks.hub.source import Source, resolve

__all__ = ["FrontEnd", "read_features"]

FrontEnd = LogMel | NormedLogMel | NormedWaveform
"""What makes frames of waveforms."""

FILES = ("preprocessor_config.json", "processor_config.json")
# What a file may ask for: a step above what any model hears, and no filters of gigabytes.
_MOST = {"sampling_rate": 400_000, "n_fft": 1 << 14, "feature_size": 1024, "chunk_length": 3600}
_SAMPLES = 1 << 26  # of one waveform that is filled up
_BOOKKEEPING = ("feature_extractor_type", "processor_class", "transformers_version")


def read_features(
    repo_or_dir: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> FrontEnd:
    """The front end of a folder or Hub repository, from its preprocessor_config.json.

    Args:
        repo_or_dir, revision, token, cache_dir, local_files_only, force_download: as in
            `from_pretrained`.

    Errors:
        HubError: there is no such folder or repository.
        AudioError: it says nothing of sound.
        ConfigError: a field that isn't known, or that asks for another front end.

    Example:
        >>> import json, pathlib, tempfile, blocks
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> said = {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 128}
        >>> _ = (folder / "preprocessor_config.json").write_text(json.dumps(said))
        >>> blocks.read_features(folder).mels
        128
    """
    return features_of(
        resolve(
            repo_or_dir,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
        )
    )


def features_of(source: Source) -> FrontEnd:
    """The front end of a place that is already resolved."""
    for name in FILES:
        path = source.find(name, assume_absent=True)
        data = read_json(path) if path else None
        if data is not None and name == FILES[1]:
            inner = data.get("feature_extractor")
            data = inner if isinstance(inner, dict) else None
        if data is not None:
            return features_from(Config(data, path or name))
    raise AudioError(
        f"has no {FILES[0]}, which says how sound is heard",
        file=source.name,
        hint="pass features=, a LogMel() for instance",
    )


def features_from(c: Config) -> FrontEnd:
    """The front end that one config asks for; every field is used, or known to change nothing."""
    kind = c.take("feature_extractor_type", str, _unnamed(c))
    if kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise c.error("feature_extractor_type", f"{kind!r} is not supported", f"known: {known}")
    for name in _BOOKKEEPING:
        c.take(name, str, "")
    c.only("padding_side", "right")
    c.only("padding_value", 0.0)
    for name, most in _MOST.items():
        if isinstance(value := c.data.get(name), int) and value > most:
            raise c.error(name, f"{value} is over the limit of {most}")
    found = _KINDS[kind](c)
    c.finish()
    return found


def _unnamed(c: Config) -> str:
    """The oldest files of wav2vec 2.0 don't name their kind."""
    return "Wav2Vec2FeatureExtractor" if c.data.get("feature_size") == 1 else "none"


def _whisper(c: Config) -> LogMel:
    c.take("return_attention_mask", bool, False)  # its encoder reads padding as silence
    c.only("dither", 0.0)
    rate, hop = c.take("sampling_rate", int, 16000), c.take("hop_length", int, 160)
    seconds = c.take("chunk_length", int, 30)
    if rate * seconds > _SAMPLES:
        raise c.error("chunk_length", f"{rate * seconds} samples are over the limit of {_SAMPLES}")
    fft, mels = c.take("n_fft", int, 400), c.take("feature_size", int, 80)
    for name, wanted in (("n_samples", rate * seconds), ("nb_max_frames", rate * seconds // hop)):
        if c.take(name, int, wanted) != wanted:
            raise c.error(name, f"must be {wanted} for {seconds} s at {rate} Hz and hop {hop}")
    made = LogMel(rate=rate, fft=fft, hop=hop, mels=mels, seconds=seconds)
    _check_filters(c, made)
    return made


def _check_filters(c: Config, made: LogMel) -> None:
    """Older files hold the mel filters themselves, which must be the ones that sizes make."""
    said = c.take("mel_filters", list, None)
    if said is None:
        return
    try:
        theirs = torch.tensor(said, dtype=torch.float32)
    except (TypeError, ValueError):
        raise c.error("mel_filters", "is not a table of numbers") from None
    ours = mel_filters(made.mels, made.fft, made.rate, made.high)
    theirs = theirs.T if theirs.dim() == 2 and theirs.shape == ours.T.shape else theirs
    if theirs.shape != ours.shape or not torch.allclose(theirs, ours, atol=1e-5):
        raise c.error("mel_filters", "are not the filters of Slaney's mel scale up to 8 kHz")


def _parakeet(c: Config) -> NormedLogMel:
    c.only("return_attention_mask", True, False)
    fft, window = c.take("n_fft", int, 512), c.take("win_length", int, 400)
    if window > fft:
        raise c.error("win_length", f"{window} is more than the {fft} points of the transform")
    emphasis = c.take("preemphasis", float, None if "preemphasis" in c.data else 0.97)
    return NormedLogMel(
        rate=c.take("sampling_rate", int, 16000),
        fft=fft,
        window=window,
        hop=c.take("hop_length", int, 160),
        mels=c.take("feature_size", int, 80),
        emphasis=emphasis or 0.0,
    )


def _wav2vec2(c: Config) -> NormedWaveform:
    c.only("feature_size", 1)
    # Where it is false, the reference takes padding for silence; here a padded row is what it is
    # alone, for every model.
    c.take("return_attention_mask", bool, False)
    return NormedWaveform(
        rate=c.take("sampling_rate", int, 16000), normalize=c.take("do_normalize", bool, True)
    )


_KINDS: dict[str, Callable[[Config], Any]] = {
    "WhisperFeatureExtractor": _whisper,
    "ParakeetFeatureExtractor": _parakeet,
    "Wav2Vec2FeatureExtractor": _wav2vec2,
}
