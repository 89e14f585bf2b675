"""Sound files as waveforms."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from blocks.errors import AudioError

if TYPE_CHECKING:
    import numpy

__all__ = ["read_audio"]

_PIECE = 1 << 20  # samples read at a time: a header may promise more than there is
_SLOWEST, _FASTEST = 1_000, 1 << 20  # samples a second beyond which a rate is a mistake
_LONGEST = 1 << 26  # samples of any file; and for each of its bytes,
_PACKED = 256  # more than speech is ever packed: silence can be packed much closer


def read_audio(path: str | os.PathLike[str], rate: int = 16000) -> Tensor:
    """A sound file as one waveform: channels averaged, resampled to `rate`.

    Reads what libsndfile reads: wav, flac, ogg, mp3, aiff and others. Needs the packages soundfile
    and soxr, which `pip install "blocks[audio]"` brings.

    Args:
        path: the file.
        rate: samples a second that the waveform shall have.

    Returns:
        [N] float32, full scale at ±1.

    Errors:
        AudioError: no such file, a format that can't be read, no samples, samples that aren't
            finite, or a package that isn't installed.

    Example:
        >>> import blocks
        >>> blocks.read_audio("nothing.wav")
        Traceback (most recent call last):
        blocks.errors.AudioError: nothing.wav: there is no such file
    """
    if isinstance(rate, bool) or not isinstance(rate, int) or not 0 < rate <= _FASTEST:
        raise AudioError(f"{rate!r} is no number of samples a second", field="rate")
    if not isinstance(path, str | os.PathLike):
        raise AudioError(f"a {type(path).__name__} is no path", field="path")
    file = Path(path).expanduser()
    if not file.is_file():
        raise AudioError("there is no such file", file=file)
    samples, found = _samples(file)
    if not samples.size:
        raise AudioError("holds no samples", file=file)
    wanted = math.ceil(len(samples) * rate / found)
    if found != rate:
        with _extra():
            import soxr
        samples = soxr.resample(samples, found, rate, quality="HQ")[:wanted]
    wave = torch.from_numpy(samples)
    wave = torch.nn.functional.pad(wave, (0, wanted - len(wave)))
    if not bool(torch.isfinite(wave).all()):
        raise AudioError("holds samples that are not finite numbers", file=file)
    return wave


def _samples(file: Path) -> tuple[numpy.ndarray, int]:
    """The mean of a file's channels [N], and its rate."""
    import numpy

    with _extra():
        import soundfile
    try:
        with soundfile.SoundFile(file) as sound:
            rate, left = sound.samplerate, _LONGEST + _PACKED * file.stat().st_size
            at_once, pieces = max(1, _PIECE // sound.channels), []
            while len(piece := sound.read(at_once, dtype="float32", always_2d=True)):
                pieces.append(piece.mean(1) if piece.shape[1] > 1 else piece[:, 0])
                if (left := left - len(piece)) < 0:
                    raise AudioError("unpacks to far more samples than sound does", file=file)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"can't be read as sound: {error.error_string}",
            file=file,
            hint="wav, flac, ogg, mp3 and aiff can",
        ) from None
    if not _SLOWEST <= rate <= _FASTEST:
        raise AudioError(f"says it has {rate} samples a second", file=file)
    return (numpy.concatenate(pieces) if pieces else numpy.zeros(0, "float32")), rate


@contextmanager
def _extra() -> Iterator[None]:
    """Says which packages are missing."""
    try:
        yield
    except (ImportError, OSError) as error:  # soundfile without its libsndfile is an OSError
        raise AudioError(
            f"reading sound files needs the packages soundfile and soxr: {error}",
            hint='pip install "blocks[audio]", or pass a waveform instead of a file',
        ) from None
