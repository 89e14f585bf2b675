"""LowRank: a block whose matrices have a small one added each."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_number, check_positive
from blocks.ops.wants import call, wants
from blocks.spec import Slot
from blocks.state import content_of
from blocks.step import Step
from blocks.wiring.linear import Linear

__all__ = ["LowRank"]


class _Zero(nn.Linear):
    """Starts at zero, so that the sum starts as what it is added to."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)


class _Added(nn.Linear):
    """y = (W + scale · B A) x + b; W and b keep the places that they have without A and B."""

    def __init__(self, base: nn.Linear, rank: int, scale: float):
        sizes, like = tuple(base.weight.shape)[::-1], {"dtype": base.weight.dtype}
        super().__init__(*sizes, bias=base.bias is not None, device="meta")  # no second draw
        self.weight, self.bias, self.scale = base.weight, base.bias, scale
        self.a = nn.Linear(sizes[0], rank, bias=False, device=base.weight.device, **like)
        self.b = _Zero(rank, sizes[1], bias=False, device=base.weight.device, **like)

    def forward(self, input: Tensor) -> Tensor:
        added = self.b(self.a(input))
        y = F.linear(input, self.weight, self.bias)
        return y + (added if self.scale == 1.0 else added * self.scale)


def _matrices(block: nn.Module) -> dict[str, nn.Linear]:
    """Those that a block calls; a few read the weight by hand, and say so."""
    return {
        f"{place}.{name}".lstrip("."): part
        for place, parent in block.named_modules()
        for name, part in parent.named_children()
        if isinstance(part, nn.Linear)
        and type(part) in (nn.Linear, Linear)  # others do more than to multiply
        and name not in getattr(parent, "by_hand", ())
    }


class LowRank(nn.Module):
    r"""inner, with W x + scale · B A x for W x in some of its matrices W [out in]

    A [rank in], B [out rank]: Hu et al., "LoRA", 2021, arXiv:2106.09685. B starts at zero. Where
    `ties` make layers share W, each still has its own A and B, as in Zamba2 (Glorioso et al., 2024,
    arXiv:2411.15242).

    Like a Residual it has no address of its own: W stays where it was, `attention.q.weight`, and
    beside it are `attention.q.a.weight` and `attention.q.b.weight`.

    Args:
        dim: width D.
        inner: slot of size (dim).
        on: names of matrices in it, such as `("q", "v")`.
        rank: width of the small matrices.
        scale: what their product is multiplied with, α / rank in the paper.

    Shapes: what inner takes -> what inner gives.

    Errors:
        SpecError: inner has no matrix of such a name.

    Example:
        >>> import torch
        >>> from blocks import GQAttention, LowRank, Spec
        >>> block = LowRank(8, inner=Spec(GQAttention, heads=2), on=("q", "v"), rank=2)
        >>> block(torch.randn(1, 3, 8)).shape, block.inner.q.a.weight.shape
        (torch.Size([1, 3, 8]), torch.Size([2, 8]))
    """

    transparent = "inner"

    def __init__(
        self, dim: int, *, inner: Slot, on: tuple[str, ...], rank: int, scale: float = 1.0
    ):
        super().__init__()
        check_positive("LowRank", dim=dim, rank=rank)
        check_number("LowRank", scale=scale)
        self.inner = inner(dim)
        matrices = _matrices(self.inner)
        for name in on:
            if name not in matrices:
                hint = f"it has {', '.join(matrices) or 'none'}"
                reason = f"{type(self.inner).__name__} has no matrix {name!r}"
                raise SpecError(reason, field="LowRank.on", hint=hint)
            self.inner.set_submodule(name, _Added(matrices[name], rank, scale))
        self._wants = wants(self.inner)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        return call(self.inner, x, step, state, self._wants)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        return content_of(self.inner, batch, room, dtype, device)
