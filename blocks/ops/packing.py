"""Matrices in 8 or 4 bits: groups of 32 weights share a scale, laid out as the kernels read."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__: list[str] = []

GROUP = 32  # inputs that share a scale
TILE = 16  # outputs that are computed at once
_SHARES = (1.0, 0.95, 0.9, 0.85, 1.05)  # of the scale that reaches the largest weight of a group


def pack(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Weights [O D] as bytes [O/16 D/32 64·bits] and scales [O/16 D/32 16].

    Scales are the bits of numbers in half precision, as int16: no change of dtype rounds them.

    8 bits: w ≈ scale · n with n from −127 to 127. 4 bits: n from −8 to 7, where the scale's sign
    lets −8 stand for the largest weight, and its size is what fits the whole group best.
    """
    tiles, groups = -(-len(weight) // TILE), -(-weight.shape[1] // GROUP)
    padding = (0, groups * GROUP - weight.shape[1], 0, tiles * TILE - len(weight))
    parts = F.pad(weight.detach().float(), padding).view(-1, groups, GROUP)  # O G 32
    top = parts.gather(-1, parts.abs().argmax(-1, keepdim=True))  # O G 1
    if bits == 8:
        scale = (top.abs() / 127).half()
        bytes = (_whole(parts, scale, -127, 127) + 128).byte()
        laid = bytes.view(tiles, TILE, groups, 8, 4).permute(0, 2, 3, 1, 4)
    else:
        scale = _fitting(parts, top / -8)
        nibbles = (_whole(parts, scale, -8, 7) + 8).byte()
        low, high = nibbles.view(tiles, TILE, groups, 2, 4, 4).unbind(3)
        laid = (low | high << 4).permute(0, 2, 3, 1, 4)
    return laid.flatten(2).contiguous(), scale.view(tiles, TILE, groups).mT.contiguous().view(
        torch.int16
    )


def unpack(laid: Tensor, scale: Tensor, bits: int, rows: int, columns: int) -> Tensor:
    """The weights [rows columns] that the bytes stand for, in float32."""
    tiles, groups = laid.shape[:2]
    if bits == 8:
        whole = laid.view(tiles, groups, 8, TILE, 4).permute(0, 3, 1, 2, 4).float() - 128
    else:
        pairs = laid.view(tiles, groups, 4, TILE, 4).permute(0, 3, 1, 2, 4)  # tile row G 4 4
        whole = torch.stack([pairs & 15, pairs >> 4], 3).float() - 8
    parts = whole.reshape(tiles * TILE, groups, GROUP)
    parts = parts * scale.view(torch.half).mT.reshape(tiles * TILE, groups, 1).float()
    return parts.flatten(1)[:rows, :columns]


def _whole(parts: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    wide = scale.float()
    return (parts / torch.where(wide == 0, 1, wide)).round().clamp(low, high)


def _fitting(parts: Tensor, reaching: Tensor) -> Tensor:
    """[O G 1], of some scales around `reaching` the one whose group is nearest to its weights."""
    best = error = None
    for share in _SHARES:
        scale = (reaching * share).half()
        off = (_whole(parts, scale, -8, 7) * scale.float() - parts).square().sum(-1, keepdim=True)
        if best is None or error is None:
            best, error = scale, off
        else:
            best, error = torch.where(off < error, scale, best), torch.minimum(off, error)
    assert best is not None
    return best
