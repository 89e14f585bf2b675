"""Blocks of 32 values, and of 256 values of three kinds, as the numbers they stand for."""

from __future__ import annotations

import torch
from torch import Tensor

__all__: list[str] = []

# The values that four bits stand for, of IQ4 and of MXFP4 (there doubled).
IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
_E2M1 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


def half(blocks: Tensor, at: int) -> Tensor:
    """The 16-bit float at a byte of each block, in 32 bits: [N 1]."""
    return blocks[:, at : at + 2].contiguous().view(torch.float16).float()


def fields(packed: Tensor, bits: int, within: int = 8) -> Tensor:
    """The fields of so many bits in numbers of `within` bits [... n]: [... within/bits n]."""
    shifts = torch.arange(0, within, bits, dtype=packed.dtype).unsqueeze(-1)
    return (packed.unsqueeze(-2) >> shifts) & ((1 << bits) - 1)


def halves(packed: Tensor) -> Tensor:
    """The lower four bits of all bytes [N n], then the upper ones: [N 2n]."""
    return fields(packed, 4).flatten(1)


def looked_up(table: tuple[int, ...], index: Tensor) -> Tensor:
    """The values of a table, as floats."""
    return torch.tensor(table, dtype=torch.float32)[index.int()]


def q4_0(b: Tensor) -> Tensor:
    return half(b, 0) * (halves(b[:, 2:]).float() - 8)


def q4_1(b: Tensor) -> Tensor:
    return half(b, 0) * halves(b[:, 4:]).float() + half(b, 2)


def _fifth(packed: Tensor) -> Tensor:
    """32 single bits [N 4] where they count sixteen: [N 32]."""
    return fields(packed, 1).transpose(1, 2).flatten(1) * 16


def q5_0(b: Tensor) -> Tensor:
    return half(b, 0) * ((halves(b[:, 6:]) + _fifth(b[:, 2:6])).float() - 16)


def q5_1(b: Tensor) -> Tensor:
    return half(b, 0) * (halves(b[:, 8:]) + _fifth(b[:, 4:8])).float() + half(b, 2)


def q8_0(b: Tensor) -> Tensor:
    return half(b, 0) * b[:, 2:].view(torch.int8).float()


def q8_1(b: Tensor) -> Tensor:
    return half(b, 0) * b[:, 4:].view(torch.int8).float()


def iq4_nl(b: Tensor) -> Tensor:
    return half(b, 0) * looked_up(IQ4, halves(b[:, 2:]))


def mxfp4(b: Tensor) -> Tensor:
    """The scale is half of 2^(s − 127): the float whose exponent bits are s − 1."""
    scale = b[:, :1].int()
    power = torch.where(scale < 2, 0x200000 << scale.clamp(max=1), (scale - 1) << 23)
    return power.int().view(torch.float32) * looked_up(_E2M1, halves(b[:, 1:]))


def tq1_0(b: Tensor) -> Tensor:
    """Five digits of base three in a byte, the highest first: each a product's overflow."""
    parts = []
    for start, end, digits in ((0, 32, 5), (32, 48, 5), (48, 52, 4)):
        powers = torch.tensor([3**n for n in range(digits)], dtype=torch.uint8).unsqueeze(-1)
        parts.append((b[:, None, start:end] * powers).flatten(1))
    return half(b, 52) * ((torch.cat(parts, 1).int() * 3 >> 8).float() - 1)


def tq2_0(b: Tensor) -> Tensor:
    return half(b, 64) * (fields(b[:, :64].unflatten(1, (2, 32)), 2).flatten(1).float() - 1)
