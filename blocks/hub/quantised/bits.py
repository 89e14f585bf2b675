"""Bits taken apart: numbers of a few bits in a row of words, 4-bit floats, and their factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

_FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # E2M1, and the same below zero


def unpacked(words: Tensor, bits: int, count: int) -> Tensor:
    """The first `count` numbers of 1 to 8 bits in each row of words, as uint8.

    The n-th lies in bits n·bits to (n + 1)·bits − 1 of the row, the lowest bit first: eight of them
    fill as many bytes as they have bits, and some begin in one byte and end in the next.
    """
    import torch

    eights = -(-count // 8)
    rows = words.contiguous().view(torch.uint8)  # ... W·4
    if (missing := eights * bits - rows.shape[-1]) > 0:
        rows = torch.nn.functional.pad(rows, (0, missing))
    groups = rows[..., : eights * bits].unflatten(-1, (eights, bits))  # ... N/8 bits
    found = []
    for n in range(8):
        byte, low = divmod(n * bits, 8)
        value = groups[..., byte] >> low
        if low + bits > 8:
            value = value | (groups[..., byte + 1] << (8 - low))
        found.append(value & (2**bits - 1))
    return torch.stack(found, -1).flatten(-2)[..., :count]  # ... N


def fours(packed: Tensor) -> Tensor:
    """The 4-bit floats (E2M1) in bytes [... N/2], the earlier in the lower half, as float32."""
    import torch

    one = torch.tensor([*_FP4, *(-value for value in _FP4)], device=packed.device)
    byte = torch.arange(256, device=packed.device)
    pairs = torch.stack([one[byte % 16], one[byte // 16]], -1)  # 256 2
    return pairs[packed.int()].flatten(-2)  # ... N


def scaled(
    values: Tensor, scales: Tensor, block: tuple[int, int], zeros: Tensor | None = None
) -> Tensor:
    """(values − zeros) · scales, in the place of the values.

    Args:
        values: floats [... R C], in memory of their own.
        scales: one for each block [... R/r C/c].
        block: r and c; blocks at the edges may be cut short.
        zeros: as many.
    """
    rows, columns = values.shape[-2:]
    high, wide = block
    whole = columns // wide * wide

    def each(factors: Tensor) -> Tensor:
        return factors.float().repeat_interleave(high, -2)[..., :rows, :]  # ... R C/c

    parts = [(values[..., :whole].unflatten(-1, (-1, wide)), slice(whole // wide))] if whole else []
    if whole < columns:
        parts.append((values[..., None, whole:], slice(whole // wide, None)))
    for part, where in parts:
        if zeros is not None:
            part.sub_(each(zeros[..., where]).unsqueeze(-1))
        part.mul_(each(scales[..., where]).unsqueeze(-1))
    return values


def ordered(values: Tensor, scales: Tensor, zeros: Tensor | None, which: Tensor) -> Tensor:
    """The same with the group of each column [C] told, whatever their order; scales are [R G]."""
    step = 1024  # columns at a time: what is taken of the scales is as large as they
    for at in range(0, values.shape[1], step):
        part, groups = values[:, at : at + step], which[at : at + step]
        if zeros is not None:
            part.sub_(zeros[:, groups].float())
        part.mul_(scales[:, groups].float())
    return values


def in_order(which: Tensor, group: int) -> bool:
    """Whether groups of columns follow one another."""
    import torch

    return torch.equal(which, torch.arange(len(which), device=which.device) // group)


def interleaved(values: Tensor, order: Sequence[int]) -> Tensor:
    """Every run of as many values as `order` has, taken in that order."""
    return values.unflatten(-1, (-1, len(order)))[..., list(order)].flatten(-2)
