"""Matrices in 8 or 4 bits: groups of 32 weights share a scale, laid out as the kernels read."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.errors import SpecError

__all__: list[str] = []

GROUP = 32  # inputs that share a scale
TILE = 16  # outputs that are computed at once
_AT_ONCE = 1 << 12  # groups that are rounded at once: what is made of them stays in the cache
# Of the scale that reaches the largest weight of a group, with either sign.
_SHARES = tuple(sign * share for sign in (1, -1) for share in (1.05, 1, 0.95, 0.9, 0.85, 0.8, 0.75))


def laid_out(rows: int, columns: int, bits: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the bytes and of the scales that hold a matrix [rows columns]."""
    tiles, groups = -(-rows // TILE), -(-columns // GROUP)
    return (tiles, groups, TILE * GROUP * bits // 8), (tiles, groups, TILE)


def pack(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Weights [O D] as bytes [O/16 D/32 64·bits] and scales [O/16 D/32 16].

    Scales are the bits of numbers in half precision, as int16: no change of dtype rounds them.

    8 bits: w ≈ scale · n with n from −127 to 127, which the largest weight of a group reaches.
    4 bits: n from −8 to 7 and the scale, of either sign, that fits the whole group best.

    Errors:
        SpecError: a weight that is NaN, infinite or beyond what half a precision can scale.
    """
    rows, columns = weight.shape
    shapes, where = laid_out(rows, columns, bits), weight.device
    laid = torch.empty(shapes[0], dtype=torch.uint8, device=where)
    scales = torch.empty(shapes[1], dtype=torch.int16, device=where)
    groups = shapes[0][1]
    if weight.is_meta:
        return laid, scales
    step = -(-_AT_ONCE // (TILE * groups))  # tiles
    for start, part in enumerate(weight.detach().split(step * TILE)):
        padding = (0, groups * GROUP - columns, 0, -len(part) % TILE)
        each = F.pad(part.float(), padding).reshape(-1, GROUP)  # O·G 32
        fit = _eight if bits == 8 else _four
        found = [fit(few.T.contiguous()) for few in each.split(_AT_ONCE)]
        whole, scale = (torch.cat(parts, -1) for parts in zip(*found, strict=True))
        place = slice(start * step, (start + 1) * step)
        laid[place] = _lay(whole, bits, groups)
        scales[place] = scale.view(-1, TILE, groups).mT.view(torch.int16)
    if not scales.view(torch.half).isfinite().all():
        raise SpecError("holds NaN, infinity or what is too large to be packed")
    return laid, scales


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


def _lay(whole: Tensor, bits: int, groups: int) -> Tensor:
    """Bytes [32 O·G] in the order in which the kernels read them."""
    if bits == 8:
        return whole.view(8, 4, -1, TILE, groups).permute(2, 4, 0, 3, 1).flatten(2)
    low, high = whole.view(2, 4, 4, -1, TILE, groups)
    return (low | high << 4).permute(2, 4, 0, 3, 1).flatten(2)


def _eight(parts: Tensor) -> tuple[Tensor, Tensor]:
    scale = (parts.abs().amax(0) / 127).half()
    return _bytes(parts, scale, -127, 127), scale


def _four(parts: Tensor) -> tuple[Tensor, Tensor]:
    """Bytes [32 N] and scales [N]: of those that some first scales lead to, the nearest.

    For given n the best scale is ⟨w, n⟩ / ⟨n, n⟩, which leaves ‖w‖² − ⟨w, n⟩² / ⟨n, n⟩.
    """
    low, high = parts.amin(0), parts.amax(0)
    reaching = torch.where(-low > high, low, high) / -8
    most = best = torch.zeros_like(reaching)
    n, product = torch.empty_like(parts), torch.empty_like(parts)
    for share in _SHARES:
        torch.mul(parts, _inverse(reaching * share), out=n)
        n.round_().clamp_(-8, 7)
        along = torch.mul(n, parts, out=product).sum(0)
        scale = along / torch.mul(n, n, out=product).sum(0).clamp(min=1)
        gained = along * scale
        best = torch.where(gained > most, scale, best)
        most = torch.maximum(gained, most)
    scale = (best + 0 * reaching).half()  # NaN stays NaN
    return _bytes(parts, scale, -8, 7), scale


def _bytes(parts: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    whole = (parts * _inverse(scale.float())).round_().clamp_(low, high)
    return whole.add_(128 if high > 7 else 8).byte()


def _inverse(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, 0, 1 / scale)
