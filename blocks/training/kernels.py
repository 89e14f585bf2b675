"""Kernels in C++ for what lies between the products of a training step."""

from __future__ import annotations

import warnings

from blocks.ops import native

__all__ = ["use_kernels"]


def use_kernels(on: bool = True) -> None:
    """Lets all models of this process learn by the library's kernels, or no longer.

    On a CPU, norms, the gates of MLPs, `RoPE`, causal attention and the loss of `next_token_loss`
    then go through memory once, forward and backward. What they find is the same up to rounding. A
    block that has none of them, another device or dtype, and `torch.compile` take the plain way.
    Kernels are compiled in some seconds when they are first wanted; without a compiler a warning
    says so, and everything stays as it was.

    Example:
        >>> import torch
        >>> from blocks import RMSNorm, use_kernels
        >>> use_kernels()
        >>> RMSNorm(16)(torch.randn(2, 16)).sum().backward()
        >>> use_kernels(False)
    """
    if on and (obstacle := native.obstacle()):
        warnings.warn(f"without the library's kernels, since {obstacle}", stacklevel=2)
    native.learn(on)
