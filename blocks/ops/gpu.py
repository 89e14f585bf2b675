"""What is decided by where tensors lie."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.ops.constant import constant

__all__: list[str] = []

NARROW = (torch.float16, torch.bfloat16)


def on(x: Tensor) -> bool:
    """Whether a GPU computes with x."""
    return x.is_cuda


def takes_groups(q: Tensor, v: Tensor, mask: Tensor | None) -> bool:
    """Whether torch has a kernel on a GPU for query heads that share keys.

    The flash kernels do, of 16 bits, of values as wide as keys, without a mask. The memory
    efficient one has learnt it lately; before, all scores would be laid out.
    """
    return mask is None and q.dtype in NARROW and q.shape[-1] == v.shape[-1]


def multiplies_groups(x: Tensor) -> bool:
    """Whether `F.grouped_mm` is one kernel for x; elsewhere it asks the device for each group."""
    return on(x) and x.dtype == torch.bfloat16 and _generation(x.device) in (9, 10)


@constant
def _generation(device: torch.device) -> int:
    return torch.cuda.get_device_capability(device)[0]
