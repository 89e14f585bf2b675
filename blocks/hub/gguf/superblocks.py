"""K-quants: blocks of 256 values in 16 or 8 groups, each with a small scale of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.hub.gguf.legacy import IQ4, fields, half, looked_up

__all__: list[str] = []


def q2_k(b: Tensor) -> Tensor:
    scales, values = b[:, :16], fields(b[:, 16:80].unflatten(1, (2, 32)), 2).reshape(-1, 16, 16)
    step, low = half(b, 80) * (scales & 15).float(), half(b, 82) * (scales >> 4).float()
    return (step[..., None] * values.float() - low[..., None]).flatten(1)


def q3_k(b: Tensor) -> Tensor:
    """Two bits of each value and, in the mask, whether four is *not* taken away."""
    low = fields(b[:, 96:104], 4).flatten(1)  # 16 scales of six bits: the lower four,
    high = fields(b[:, 104:108], 2).flatten(1)  # and the upper two
    step = half(b, 108) * ((low | (high << 4)).float() - 32)
    values = fields(b[:, 32:96].unflatten(1, (2, 32)), 2).reshape(-1, 16, 16)
    above = fields(b[:, :32], 1).reshape(-1, 16, 16)
    return (step[..., None] * (values.float() - 4 * (1 - above.float()))).flatten(1)


def _six_bits(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Eight scales and eight offsets of six bits each, in twelve bytes."""
    first, second, rest = packed.split(4, 1)
    scales = torch.cat([first & 63, (rest & 15) | ((first >> 2) & 48)], 1)
    offsets = torch.cat([second & 63, (rest >> 4) | ((second >> 2) & 48)], 1)
    return scales.float(), offsets.float()


def q4_k(b: Tensor) -> Tensor:
    return _in_eight(b, fields(b[:, 16:144].unflatten(1, (4, 32)), 4).reshape(-1, 8, 32))


def q5_k(b: Tensor) -> Tensor:
    fifth = fields(b[:, 16:48], 1)  # N 8 32
    return _in_eight(
        b, fields(b[:, 48:176].unflatten(1, (4, 32)), 4).reshape(-1, 8, 32) | (fifth << 4)
    )


def _in_eight(b: Tensor, values: Tensor) -> Tensor:
    scales, offsets = _six_bits(b[:, 4:16])
    step, low = half(b, 0) * scales, half(b, 2) * offsets
    return (step[..., None] * values.float() - low[..., None]).flatten(1)


def q6_k(b: Tensor) -> Tensor:
    low = fields(b[:, :128].unflatten(1, (2, 64)), 4).reshape(-1, 256)
    high = fields(b[:, 128:192].unflatten(1, (2, 32)), 2).reshape(-1, 256)
    values = ((low | (high << 4)).float() - 32).unflatten(1, (16, 16))
    step = half(b, 208) * b[:, 192:208].view(torch.int8).float()
    return (step[..., None] * values).flatten(1)


def q8_k(b: Tensor) -> Tensor:
    return b[:, :4].contiguous().view(torch.float32) * b[:, 4:260].view(torch.int8).float()


def iq4_xs(b: Tensor) -> Tensor:
    low = fields(b[:, 4:8], 4).transpose(1, 2).flatten(1)
    high = fields(b[:, 2:4], 2).transpose(1, 2).flatten(1)
    step = half(b, 0) * ((low | (high << 4)).float() - 32)
    values = fields(b[:, 8:].unflatten(1, (8, 16)), 4).flatten(2)
    return (step[..., None] * looked_up(IQ4, values)).flatten(1)
