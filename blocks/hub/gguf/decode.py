"""The values of a GGUF tensor, from its bytes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor

from blocks.hub.gguf import lattice, legacy, superblocks
from blocks.hub.gguf.types import Kind

__all__: list[str] = []

_PLAIN = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F64": torch.float64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}
_BLOCKS: dict[str, Callable[[Tensor], Tensor]] = {
    "Q4_0": legacy.q4_0,
    "Q4_1": legacy.q4_1,
    "Q5_0": legacy.q5_0,
    "Q5_1": legacy.q5_1,
    "Q8_0": legacy.q8_0,
    "Q8_1": legacy.q8_1,
    "IQ4_NL": legacy.iq4_nl,
    "MXFP4": legacy.mxfp4,
    "TQ1_0": legacy.tq1_0,
    "TQ2_0": legacy.tq2_0,
    "Q2_K": superblocks.q2_k,
    "Q3_K": superblocks.q3_k,
    "Q4_K": superblocks.q4_k,
    "Q5_K": superblocks.q5_k,
    "Q6_K": superblocks.q6_k,
    "Q8_K": superblocks.q8_k,
    "IQ4_XS": superblocks.iq4_xs,
    "IQ1_S": lattice.iq1_s,
    "IQ1_M": lattice.iq1_m,
    "IQ2_XXS": lattice.iq2_xxs,
    "IQ2_XS": lattice.iq2_xs,
    "IQ2_S": lattice.iq2_s,
    "IQ3_XXS": lattice.iq3_xxs,
    "IQ3_S": lattice.iq3_s,
}
_AT_ONCE = 1 << 20  # values that are decoded together: they take some 20 MB on the way


def decode(
    data: Tensor, kind: Kind, shape: tuple[int, ...], dtype: torch.dtype | None = None
) -> Tensor:
    """The tensor whose bytes are `data`: of plain types a view of them, of blocks a new one.

    Args:
        data: uint8 [bytes].
        kind: its type.
        shape: its shape.
        dtype: of what blocks stand for; float32 if None, which is exact.

    Example:
        >>> from blocks.hub.gguf.types import KINDS
        >>> decode(torch.tensor([0, 64, *[0x98] * 16], dtype=torch.uint8), KINDS[2], (32,))[[0, 31]]
        tensor([0., 2.])
    """
    if kind.name in _PLAIN:
        if data.storage_offset() % kind.nbytes or data.data_ptr() % kind.nbytes:
            data = data.clone()
        return data.view(_PLAIN[kind.name]).view(shape)
    one = _BLOCKS[kind.name]
    blocks = data.view(-1, kind.nbytes)
    found = torch.empty(prod(shape), dtype=dtype or torch.float32)
    step = max(1, _AT_ONCE // kind.values)
    for start in range(0, len(blocks), step):
        part = one(blocks[start : start + step])
        found[start * kind.values :][: part.numel()] = part.flatten()
    return found.view(shape)
