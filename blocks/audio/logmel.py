"""The front end of Whisper: the logarithm of mel spectra."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.audio.spectrum import check_length, check_numbers, mel_filters, mel_power, waveforms
from blocks.conform import check_fields
from blocks.errors import AudioError

__all__ = ["LogMel"]


@dataclass(frozen=True)
class LogMel:
    r"""Frames of log-mel power, from 8 bels below the loudest upwards, brought near ±1:

        m = log₁₀ max(mel · |STFT x|², 10⁻¹⁰),        frames = (max(m, max m − 8) + 4) / 4

    Radford et al., "Robust speech recognition via large-scale weak supervision", 2022,
    arXiv:2212.04356.

    Args:
        rate: samples a second of the waveforms.
        fft: samples that one frame sees, under a Hann window.
        hop: samples from one frame to the next.
        mels: channels C.
        seconds: to which length waveforms are cut or filled with silence; None leaves them.
        high: the highest frequency, in Hz.

    Shapes: waveforms [N], [B N] or a list of [N] -> (frames [B T C], real [B T] or None where all
    frames are).

    Errors:
        AudioError: an empty waveform, samples that aren't finite, or several lengths with
            seconds=None.

    Example:
        >>> import torch
        >>> from blocks import LogMel
        >>> frames, real = LogMel(seconds=30)(torch.zeros(16000))
        >>> frames.shape, real
        (torch.Size([1, 3000, 80]), None)
    """

    rate: int = 16000
    fft: int = 400
    hop: int = 160
    mels: int = 80
    seconds: int | None = 30
    high: float = 8000.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_numbers(self, **vars(self))

    def __call__(self, audio: Any) -> tuple[Tensor, Tensor | None]:
        rows = [self._frames(wave) for wave in waveforms(audio)]
        if len({len(row) for row in rows}) > 1:
            raise AudioError(
                "waveforms of several lengths make no batch",
                field="audio",
                hint="LogMel(seconds=30) gives all of them one length",
            )
        return torch.stack(rows), None

    def whole(self) -> LogMel:
        """The same front end for a waveform of any length."""
        return replace(self, seconds=None)

    def _frames(self, wave: Tensor) -> Tensor:
        if self.seconds is not None:
            size = self.seconds * self.rate
            wave = F.pad(wave[:size], (0, max(0, size - len(wave))))
        check_length(wave, max(self.fft // 2 + 1, self.hop))  # what is reflected at the ends
        filters = mel_filters(self.mels, self.fft, self.rate, self.high)
        window = torch.hann_window(self.fft)
        how: dict[str, Any] = {"fft": self.fft, "hop": self.hop, "beyond": "reflect"}
        power = mel_power(wave, filters, window, **how)[:-1]  # T C
        logs = power.clamp(min=1e-10).log10()
        return (torch.maximum(logs, logs.max() - 8) + 4) / 4
