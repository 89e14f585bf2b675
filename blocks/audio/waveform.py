"""The front end of wav2vec 2.0: the waveform itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from blocks.audio.spectrum import check_numbers, stacked, waveforms
from blocks.conform import check_fields

__all__ = ["NormedWaveform"]

_EPS = 1e-7


@dataclass(frozen=True)
class NormedWaveform:
    r"""Samples as frames of one channel, each waveform with mean 0 and variance 1:

        frames = (x − mean x) / √(var x + 10⁻⁷)

    Baevski et al., "wav2vec 2.0", 2020, arXiv:2006.11477.

    Args:
        rate: samples a second of the waveforms.
        normalize: whether waveforms are normed; False leaves the samples as they are.

    Shapes: waveforms [N], [B N] or a list of [N] -> (frames [B N 1], real [B N] or None where all
    samples are).

    Errors:
        AudioError: an empty waveform, or samples that aren't finite.

    Example:
        >>> import torch
        >>> from blocks import NormedWaveform
        >>> frames, real = NormedWaveform()([torch.randn(9), torch.randn(5)])
        >>> frames.shape, real.sum(1)
        (torch.Size([2, 9, 1]), tensor([9, 5]))
    """

    rate: int = 16000
    normalize: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        check_numbers(self, rate=self.rate)

    def __call__(self, audio: Any) -> tuple[Tensor, Tensor | None]:
        return stacked([self._frames(wave)[:, None] for wave in waveforms(audio)])

    def _frames(self, wave: Tensor) -> Tensor:
        if not self.normalize:
            return wave
        return (wave - wave.mean()) / (wave.var(correction=0) + _EPS).sqrt()
