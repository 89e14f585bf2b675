"""Clip: values cut off at a bound."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive

__all__ = ["Clip"]


class Clip(nn.Module):
    r"""y = min(max(x, −cap), cap)

    Queries, keys and values are clipped to keep training stable: MosaicML, "MPT-7B", 2023;
    Groeneveld et al., "OLMo", 2024, arXiv:2402.00838.

    Args:
        dim: width D; every channel is clipped alike.
        cap: no value leaves −cap … cap.

    Shapes: [... D] -> [... D].

    Errors:
        SpecError: a cap that is not above zero, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import Clip
        >>> Clip(3, cap=8.0)(torch.tensor([-9.0, 1.0, 20.0]))
        tensor([-8.,  1.,  8.])
    """

    def __init__(self, dim: int, *, cap: float):
        super().__init__()
        check_positive("Clip", dim=dim, cap=cap)
        self.dim, self.cap = dim, cap

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.dim:
            raise SpecError(f"the input is {x.shape[-1]} wide, not {self.dim}", field="Clip.dim")
        return x.clamp(-self.cap, self.cap)  # ... D
