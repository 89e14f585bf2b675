"""Tokens in patches of any sizes: who belongs to which, and the largest of each."""

from __future__ import annotations

import torch
from torch import Tensor

__all__: list[str] = []


def largest(x: Tensor, number: Tensor, count: int) -> Tensor:
    """The largest value of each channel in each patch: x [B T D] -> [B count D].

    `number` [B T] tells the patch of each token, later ones than `count` being left out. A patch
    without tokens is zero.
    """
    index = number.clamp(max=count)[..., None].expand_as(x)
    empty = x.new_zeros(len(x), count + 1, x.shape[-1])
    return empty.scatter_reduce(1, index, x, "amax", include_self=False)[:, :count]


def members(number: Tensor, count: int, places: int) -> Tensor:
    """Which places of patches each token goes with: number [B T] -> bool [B T count·places]."""
    patch = torch.arange(count, device=number.device).repeat_interleave(places)
    return number[..., None] == patch
