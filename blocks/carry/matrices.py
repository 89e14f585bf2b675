"""A matrix for a matrix: what both have, and no bias where there was none."""

from __future__ import annotations

from torch import nn

from blocks.carry import Lines


def linear(old: nn.Linear, new: nn.Linear) -> Lines:
    """Parts of a matrix of another shape would mean nothing: those are left to other rules."""
    if old.weight.shape != new.weight.shape:
        return
    yield "", old
    if new.bias is not None and old.bias is None:
        yield "bias", old.weight.new_zeros(new.bias.shape).detach(), "zero: there was none"
