"""The front end of Parakeet: log-mel spectra with each channel normed over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blocks.audio.spectrum import (
    check_length,
    check_numbers,
    mel_filters,
    mel_power,
    stacked,
    waveforms,
)
from blocks.conform import check_fields

__all__ = ["NormedLogMel"]

_GUARD = 2**-24  # keeps the logarithm of silence finite
_EPS = 1e-5


@dataclass(frozen=True)
class NormedLogMel:
    r"""Frames of log-mel power, each channel of a waveform with mean 0 and deviation 1:

        y_n = x_n − emphasis · x_{n−1},        m = ln(mel · |STFT y|² + 2⁻²⁴),
        frames = (m − mean m) / (std m + 10⁻⁵)

    The front end of NeMo's Conformer models: Kuchaiev et al., 2019, arXiv:1909.09577.

    Args:
        rate: samples a second of the waveforms.
        fft: points of the Fourier transform.
        window: samples under the Hann window in the middle of them.
        hop: samples from one frame to the next.
        mels: channels C.
        emphasis: how much of the sample before is taken off; 0 is none.

    Shapes: waveforms [N], [B N] or a list of [N] -> (frames [B T C], real [B T] or None where all
    frames are). T is N // hop of the longest.

    Errors:
        AudioError: a waveform of less than two frames, or samples that aren't finite.

    Example:
        >>> import torch
        >>> from blocks import NormedLogMel
        >>> frames, real = NormedLogMel()([torch.randn(16000), torch.randn(8000)])
        >>> frames.shape, real.sum(1)
        (torch.Size([2, 100, 80]), tensor([100,  50]))
    """

    rate: int = 16000
    fft: int = 512
    window: int = 400
    hop: int = 160
    mels: int = 80
    emphasis: float = 0.97

    def __post_init__(self) -> None:
        check_fields(self)
        sizes = {name: value for name, value in vars(self).items() if name != "emphasis"}
        check_numbers(self, **sizes)

    def __call__(self, audio: Any) -> tuple[Tensor, Tensor | None]:
        return stacked([self._frames(wave) for wave in waveforms(audio)])

    def _frames(self, wave: Tensor) -> Tensor:
        check_length(wave, 2 * self.hop)  # the deviation of one frame is none
        wave = torch.cat([wave[:1], wave[1:] - self.emphasis * wave[:-1]])
        filters = mel_filters(self.mels, self.fft, self.rate, self.rate / 2)
        window = torch.hann_window(self.window, periodic=False)
        how: dict[str, Any] = {"fft": self.fft, "hop": self.hop, "beyond": "constant"}
        power = mel_power(wave, filters, window, **how)[: len(wave) // self.hop]  # T C
        logs = torch.log(power + _GUARD)
        return (logs - logs.mean(0)) / (logs.std(0) + _EPS)
