"""IQ quants: groups of four or eight values that are points of a table, their signs beside it.

The tables are in lattice.safetensors: Iwan Kawrakow's, of ggml (MIT licence).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import torch
from safetensors.torch import load
from torch import Tensor

from blocks.hub.gguf.legacy import fields, half

__all__: list[str] = []


@cache
def _tables() -> dict[str, Tensor]:
    return load((files("blocks.hub.gguf") / "lattice.safetensors").read_bytes())


def _points(name: str, index: Tensor) -> Tensor:
    return _tables()[name][index.int()].float()


def _words(packed: Tensor, kind: torch.dtype) -> Tensor:
    """Numbers of 16 or 32 bits, in 32 bits."""
    return packed.contiguous().view(kind).int()


def _each(packed: Tensor, bits: int, within: int = 8) -> Tensor:
    """The fields of each number one after another: [N n] to [N n·within/bits]."""
    return fields(packed, bits, within).transpose(1, 2).flatten(1)


def _signs(bits: Tensor) -> Tensor:
    """±1 for each bit of bytes [...]: [... 8]."""
    set_ = (bits.unsqueeze(-1) >> torch.arange(8, dtype=bits.dtype)) & 1
    return 1 - 2 * set_.float()


def _even(seven: Tensor) -> Tensor:
    """±1 for each of seven bits, and an eighth that makes the number of minuses even."""
    parity = seven.clone()
    for shift in (4, 2, 1):
        parity ^= parity >> shift
    return _signs(seven | ((parity & 1) << 7))


def _scaled(step: Tensor, points: Tensor, signs: Tensor) -> Tensor:
    """Points [N n e] and signs, where each step [N m] is of n/m points."""
    each = step.repeat_interleave(points.shape[1] // step.shape[1], 1)[..., None]
    return (each * points * signs.reshape(points.shape)).flatten(1)


def iq2_xxs(b: Tensor) -> Tensor:
    pairs = b[:, 2:].unflatten(1, (8, 8))
    told = _words(pairs[..., 4:].flatten(1), torch.int32)  # N 8
    step = half(b, 0) * (0.5 + ((told >> 28) & 15).float()) * 0.25
    return _scaled(step, _points("iq2_xxs", pairs[..., :4].flatten(1)), _even(_sevens(told)))


def _sevens(told: Tensor) -> Tensor:
    """The lower 28 bits of words [N n], seven by seven: [N 4n]."""
    return ((told.unsqueeze(-1) >> torch.tensor([0, 7, 14, 21])) & 127).flatten(1)


def iq2_xs(b: Tensor) -> Tensor:
    told = _words(b[:, 2:66], torch.int16) & 0xFFFF
    step = half(b, 0) * (0.5 + _each(b[:, 66:], 4).float()) * 0.25
    return _scaled(step, _points("iq2_xs", told & 511), _even(told >> 9))


def iq2_s(b: Tensor) -> Tensor:
    index = b[:, 2:34].int() | (_each(b[:, 66:74], 2).int() << 8)
    step = half(b, 0) * (0.5 + _each(b[:, 74:], 4).float()) * 0.25
    return _scaled(step, _points("iq2_s", index), _signs(b[:, 34:66]))


def iq3_xxs(b: Tensor) -> Tensor:
    told = _words(b[:, 66:], torch.int32)
    step = half(b, 0) * (0.5 + ((told >> 28) & 15).float()) * 0.5
    return _scaled(step, _points("iq3_xxs", b[:, 2:66]), _even(_sevens(told)))


def iq3_s(b: Tensor) -> Tensor:
    index = b[:, 2:66].int() | (_each(b[:, 66:74], 1).int() << 8)
    step = half(b, 0) * (1 + 2 * _each(b[:, 106:], 4).float())
    return _scaled(step, _points("iq3_s", index), _signs(b[:, 74:106]))


def iq1_s(b: Tensor) -> Tensor:
    told = _words(b[:, 34:], torch.int16)
    index = b[:, 2:34].int() | (_threes(told) << 8)
    step = half(b, 0) * (2 * ((told >> 12) & 7) + 1).float()
    shift = torch.where(told < 0, -0.125, 0.125)  # the sixteenth bit is the number's sign
    points = _points("iq1", index).unflatten(1, (8, 32 // 8))
    return (step[..., None, None] * (points + shift[..., None, None])).flatten(1)


def _threes(told: Tensor) -> Tensor:
    """The lower twelve bits of words [N n], three by three: [N 4n]."""
    return ((told.unsqueeze(-1) >> torch.tensor([0, 3, 6, 9])) & 7).flatten(1)


def iq1_m(b: Tensor) -> Tensor:
    told = _words(b[:, 48:], torch.int16) & 0xFFFF
    top = (told & 0xF000) >> torch.tensor([12, 8, 4, 0])  # the scale, four bits in each word
    scale = top.sum(1, keepdim=True).short().view(torch.float16).float()
    step = scale * (2 * _threes(told) + 1).float()  # N 16
    more = _each(b[:, 32:48], 4)
    index = b[:, :32].int() | ((more & 7).int() << 8)
    shift = torch.where(more & 8 == 0, 0.125, -0.125)
    points = _points("iq1", index) + shift[..., None]
    return (step.repeat_interleave(2, 1)[..., None] * points).flatten(1)
