"""PackedLinear: a matrix kept in 8 or 4 bits a weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width
from blocks.ops.packing import pack, unpack
from blocks.wiring import whole
from blocks.wiring.streamed import ACTS

__all__ = ["PackedLinear"]


class PackedLinear(nn.Module):
    r"""y = W x + b,        W_oi = scale_{o,⌊i/32⌋} · n_oi

    with whole numbers n from −127 to 127, or from −8 to 7: what llama.cpp calls Q8_0 and Q4_0, in
    8.5 and 4.5 bits a weight. In a model that `blocks.optimize` has prepared for the library's
    kernels, rows of x are rounded to 8 bits as well, group by group, and multiplied as whole
    numbers. Else the weights are unpacked for each call. They are not learnt; gradients reach x.

    Args:
        dim: width D.
        out_dim: width of the output; D by default.
        bits: 8 or 4.
        bias: whether there is a b.

    Shapes: x [... D] -> [... out_dim].

    Errors:
        SpecError: an input of another width.

    Example:
        >>> import torch
        >>> from blocks import PackedLinear
        >>> PackedLinear(64, out_dim=32, bits=4)(torch.randn(1, 2, 64)).shape
        torch.Size([1, 2, 32])
    """

    packed: Tensor
    scale: Tensor
    quick = False  # whether the kernels may read it
    bits: Literal[8, 4]

    def __init__(
        self,
        dim: int,
        *,
        out_dim: int | None = None,
        bits: Literal[8, 4] = 8,
        bias: bool = False,
    ):
        super().__init__()
        check_positive("PackedLinear", dim=dim, out_dim=out_dim)
        self.dim, self.out_dim, self.bits = dim, out_dim or dim, bits
        plain = nn.Linear(dim, self.out_dim, bias=bias)
        self.bias = plain.bias
        self._fill(*pack(plain.weight, bits))

    @classmethod
    def of(
        cls,
        weight: Tensor,
        bias: nn.Parameter | None,
        bits: Literal[8, 4],
        twin: PackedLinear | None = None,
    ) -> PackedLinear:
        """The matrix [O D], packed; one that has been packed before shares what came of it."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.out_dim, made.dim = weight.shape
        made.bits, made.bias = bits, bias
        made._fill(*(pack(weight, bits) if twin is None else (twin.packed, twin.scale)))
        return made

    def _fill(self, laid: Tensor, scale: Tensor) -> None:
        self.register_buffer("packed", laid)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "PackedLinear")
        return self.join((self,), x)[0]

    def dense(self, dtype: torch.dtype) -> Tensor:
        """W [O D]."""
        return unpack(self.packed, self.scale, self.bits, self.out_dim, self.dim).to(dtype)

    @staticmethod
    def join(parts: Sequence[PackedLinear], x: Tensor) -> Sequence[Tensor]:
        """What each of them makes of x, by one call of the kernel."""
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        if not whole.ready(parts, rows, len(rows)):
            return [F.linear(x, part.dense(x.dtype), part.bias) for part in parts]
        found = whole.multiplied("products", parts, rows).view(*x.shape[:-1], -1)
        each = found.split([part.out_dim for part in parts], -1)
        return [y if p.bias is None else y + p.bias for p, y in zip(parts, each, strict=True)]

    @staticmethod
    def opened(gate: PackedLinear, up: PackedLinear, x: Tensor, act: Callable[..., Any]) -> Tensor:
        """act(gate x) ⊙ up x, by one call of the kernel."""
        rows = x.reshape(-1, x.shape[-1]).contiguous()
        plain = gate.bias is None and up.bias is None and gate.out_dim == up.out_dim
        known = act in ACTS and act is not F.gelu  # whose exact form is slower than torch's
        if plain and known and whole.ready((gate, up), rows, len(rows)):
            found = whole.multiplied("gated", (gate, up), rows, ACTS[act])
            return found.view(*x.shape[:-1], -1)
        left, right = PackedLinear.join((gate, up), x)
        return act(left) * right
