"""A whole model whose matrices are packed in 8 or 4 bits."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from blocks.attention.latent import LatentAttention
from blocks.errors import SpecError
from blocks.heads.language import LMHead
from blocks.models.places import modules
from blocks.ssm.mamba import Mamba
from blocks.wiring.linear import Linear
from blocks.wiring.packed import PackedLinear

__all__: list[str] = []

SMALLEST = 1 << 12  # weights of a matrix that is worth it
_READ_AS_THEY_ARE = {LatentAttention: {"kv_up"}, Mamba: {"dt"}}  # not by calling them


class PackedHead(LMHead):
    """An `LMHead` whose matrix is packed, in 8 bits whatever the others are in."""

    matrix: PackedLinear

    @classmethod
    def of(cls, head: LMHead) -> PackedHead:
        """The head, with a matrix of its own; a table that it shared stays what it is."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.project, made.dim, made.scale, made.cap = head.project, head.dim, head.scale, head.cap
        made.matrix = PackedLinear.of(head.weight, head.bias, 8)
        return made

    def product(self, x: Tensor) -> Tensor:
        return self.matrix(x)


def pack_matrices(model: nn.Module, bits: Literal[8, 4]) -> list[str]:
    """Packs the matrices of a model in place; gives their addresses.

    Embeddings, norms, routers, convolutions and small matrices stay as they are, and so does what a
    block reads in another way than as a matrix.

    Errors:
        SpecError: there is nothing to pack.
    """
    found: list[str] = []
    with torch.no_grad():
        for address, module in list(modules(model)):
            for name, part in list(module.named_children()):
                kept = name in _READ_AS_THEY_ARE.get(type(module), ())
                if kept or (packed := _packed(part, bits)) is None:
                    continue
                setattr(module, name, packed.train(part.training))
                found.append(f"{address}.{name}" if address else name)
    if not found:
        raise SpecError(f"{type(model).__name__} has no matrix to pack", field="quantize")
    return found


def _packed(part: Any, bits: Literal[8, 4]) -> nn.Module | None:
    if isinstance(part, LMHead):
        return PackedHead.of(part) if type(part) is LMHead else None
    if type(part) in (nn.Linear, Linear) and part.weight.numel() >= SMALLEST:
        return PackedLinear.of(part.weight, part.bias, bits)
    return None
