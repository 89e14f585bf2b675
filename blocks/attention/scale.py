"""Scale: values multiplied with a number."""

from __future__ import annotations

from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width

__all__ = ["Scale"]


class Scale(nn.Module):
    r"""y = scale · x

    Where the values of attention have another width than the model, a number such as
    √(D / (H · V)) keeps what attention adds as large: LLM-Core Xiaomi, "MiMo-V2-Flash", 2026,
    arXiv:2601.02780.

    Args:
        dim: width D; every channel is scaled alike.
        scale: the number, above zero.

    Shapes: [... D] -> [... D].

    Errors:
        SpecError: a scale that is not above zero, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import Scale
        >>> Scale(3, scale=0.5)(torch.tensor([-9.0, 1.0, 20.0]))
        tensor([-4.5000,  0.5000, 10.0000])
    """

    def __init__(self, dim: int, *, scale: float):
        super().__init__()
        check_positive("Scale", dim=dim, scale=scale)
        self.dim, self.scale = dim, scale

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "Scale")
        return x * self.scale  # ... D
