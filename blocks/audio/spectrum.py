"""From waveforms to mel spectra: what the front ends share."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.errors import AudioError

__all__: list[str] = []

# The scale of Slaney's Auditory Toolbox (1998): straight up to 1 kHz, logarithmic above.
_BREAK, _SLOPE, _STEP = 1000.0, 3 / 200, 27 / math.log(6.4)


def _mels(hertz: Tensor) -> Tensor:
    above = _BREAK * _SLOPE + torch.log(hertz.clamp(min=_BREAK) / _BREAK) * _STEP
    return torch.where(hertz < _BREAK, hertz * _SLOPE, above)


def _hertz(mels: Tensor) -> Tensor:
    above = _BREAK * torch.exp((mels - _BREAK * _SLOPE) / _STEP)
    return torch.where(mels < _BREAK * _SLOPE, mels / _SLOPE, above)


@lru_cache(maxsize=8)
def mel_filters(mels: int, fft: int, rate: int, high: float) -> Tensor:
    """Triangles [mels, fft // 2 + 1] of equal area, evenly spaced in mels from 0 to `high` Hz."""
    top = float(_mels(torch.tensor(high, dtype=torch.float64)))
    edges = _hertz(torch.linspace(0, top, mels + 2, dtype=torch.float64))[:, None]
    bins = torch.linspace(0, rate / 2, fft // 2 + 1, dtype=torch.float64)
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = torch.minimum(up, down).clamp(min=0)
    return (triangles * 2 / (edges[2:] - edges[:-2])).float()


def mel_power(
    wave: Tensor, filters: Tensor, window: Tensor, *, fft: int, hop: int, beyond: str
) -> Tensor:
    """[N] -> [T mels]: the power that each filter lets through, a frame every `hop` samples.

    Frames are centred on their samples; `beyond` says what lies before the first and after the
    last one, as torch.stft names it.
    """
    spectrum = torch.stft(
        wave,
        fft,
        hop,
        window.shape[0],
        window.to(wave.device),
        pad_mode=beyond,
        return_complex=True,
    )
    power = spectrum.real**2 + spectrum.imag**2  # F T
    return (filters.to(wave.device) @ power).T  # T M


def waveforms(audio: Any) -> list[Tensor]:
    """One waveform [N], a batch [B N] or a list of waveforms, as float32 tensors [N] each."""
    many = audio if isinstance(audio, list | tuple) and not _numbers(audio) else [audio]
    found: list[Tensor] = []
    for part in many:
        try:
            wave = torch.as_tensor(part)
        except (TypeError, ValueError, RuntimeError):
            raise AudioError(f"{type(part).__name__} is no waveform", field="audio") from None
        if wave.dim() not in (1, 2) or wave.is_complex() or wave.dtype == torch.bool:
            raise AudioError(
                f"a waveform is [samples], not {list(wave.shape)} of {wave.dtype}", field="audio"
            )
        if not wave.is_floating_point():
            raise AudioError(
                f"samples are floats between -1 and 1, not {wave.dtype}",
                field="audio",
                hint="divide 16-bit samples by 32768",
            )
        found += list(wave.float()) if wave.dim() == 2 else [wave.float()]
    if not found or any(not wave.numel() for wave in found):
        raise AudioError("there is nothing to hear: no samples", field="audio")
    if not all(bool(torch.isfinite(wave).all()) for wave in found):
        raise AudioError("holds samples that are not finite numbers", field="audio")
    return found


def _numbers(audio: Any) -> bool:
    return bool(audio) and isinstance(audio[0], int | float)


def check_numbers(kind: Any, **numbers: float | None) -> None:
    """Refuses a size of a front end that is not above zero."""
    for name, number in numbers.items():
        if number is not None and not number > 0:
            raise AudioError(f"{number} is not above zero", field=f"{type(kind).__name__}.{name}")


def check_length(wave: Tensor, least: int) -> None:
    """Refuses a waveform of too few samples to make one frame of."""
    if len(wave) < least:
        raise AudioError(
            f"{len(wave)} samples are too short: at least {least} are needed", field="audio"
        )


def stacked(rows: list[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Rows [T C] as one batch [B T C], zeros after the shorter ones, and which frames are real."""
    lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
    longest = int(lengths.max())
    frames = torch.stack([F.pad(row, (0, 0, 0, longest - len(row))) for row in rows])
    real = torch.arange(longest, device=frames.device) < lengths[:, None]
    return frames, None if bool(real.all()) else real
