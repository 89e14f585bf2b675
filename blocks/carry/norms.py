"""Layer norm for RMS norm and back."""

from __future__ import annotations

import torch

from blocks.carry import Lines
from blocks.norm.layer import LayerNorm
from blocks.norm.rms import RMSNorm


def norm(old: LayerNorm | RMSNorm, new: LayerNorm | RMSNorm) -> Lines:
    """Weights go over, counted from the new offset; a mean and a bias don't, and it is said."""
    if old.dim != new.dim:
        return
    lost = _lost(old, new)
    shift = old.offset - new.offset
    if new.weight is not None and old.weight is None:
        yield "weight", torch.full((new.dim,), 1 - new.offset), "one: there was none"
    elif new.weight is not None and old.weight is not None:
        counted = [f"{shift:+g} for the offset"] if shift else []
        weight = old.weight + shift if shift else old.weight
        yield "weight", weight, ", ".join((*counted, *lost))
    bias = getattr(old, "bias", None)
    if bias is not None and getattr(new, "bias", None) is not None:
        yield "bias", bias


def _lost(old: LayerNorm | RMSNorm, new: LayerNorm | RMSNorm) -> tuple[str, ...]:
    if isinstance(old, LayerNorm) and isinstance(new, RMSNorm):
        bias = () if old.bias is None else ("the bias is lost",)
        return ("the mean stays in", *bias)
    if isinstance(new, LayerNorm) and isinstance(old, RMSNorm):
        return ("the mean is taken off",)
    return ()
