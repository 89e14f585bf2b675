"""xIELU: an activation that is a parabola above zero and nearly one below, with learnt bends."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.ops.check import check_positive, check_width

__all__ = ["XIELU"]


class XIELU(nn.Module):
    r"""y = α_p x² + βx  for x > 0,     y = α_n (e^min(x, ε) − 1 − x) + βx  else

        α_p = softplus(a_p),   α_n = β + softplus(a_n)

    so that its slope never vanishes. a_p and a_n are learnt, one for all channels; β and ε, a
    bound just below zero, are kept with the weights.
    Huang & Schlag, "Deriving activation functions using integration", 2024, arXiv:2411.13010.

    Args:
        dim: width F of what it is given.

    Shapes: x [... F] -> [... F].

    Errors:
        SpecError: an input of another width.

    Example:
        >>> import torch
        >>> from blocks import XIELU
        >>> XIELU(3)(torch.tensor([-1.0, 1.0, 2.0])).round(decimals=4)
        tensor([-0.2057,  1.3000,  4.2000], grad_fn=<RoundBackward1>)
    """

    beta: Tensor
    eps: Tensor

    def __init__(self, dim: int):
        super().__init__()
        check_positive("XIELU", dim=dim)
        self.dim = dim
        self.alpha_p = nn.Parameter(torch.empty(1))
        self.alpha_n = nn.Parameter(torch.empty(1))
        self.register_buffer("beta", torch.empty(()))
        self.register_buffer("eps", torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        # Both bends are 0.8, and softplus(log(e^a − 1)) is a.
        nn.init.constant_(self.alpha_p, math.log(math.expm1(0.8)))
        nn.init.constant_(self.alpha_n, math.log(math.expm1(0.8 - 0.5)))
        nn.init.constant_(self.beta, 0.5)
        nn.init.constant_(self.eps, -1e-6)

    def forward(self, x: Tensor) -> Tensor:
        check_width(x, self.dim, "XIELU")
        above = F.softplus(self.alpha_p) * x * x  # ... F
        below = (torch.expm1(torch.minimum(x, self.eps)) - x) * (
            self.beta + F.softplus(self.alpha_n)
        )
        return torch.where(x > 0, above, below) + self.beta * x
