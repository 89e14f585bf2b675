"""Top-k router: the best experts by score, weighted by a softmax over them alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.dispatch import check_choice, router_logits

__all__ = ["TopKRouter"]


class TopKRouter(nn.Module):
    r"""s = W x + b;   chosen = the k largest s_i;   weight = softmax(s_chosen)

    Shazeer et al., 2017, arXiv:1701.06538, without its noise; OpenAI, "gpt-oss", 2025,
    arXiv:2508.10925.

    Args:
        dim: width D.
        experts: experts X.
        top_k: experts k that a token goes to.
        bias: whether there is a bias.

    Shapes: x [N D] -> weights [N k] in at least float32, chosen [N k] int.

    Errors:
        SpecError: fewer experts than are to be chosen.

    Example:
        >>> import torch
        >>> from blocks import TopKRouter
        >>> weights, chosen = TopKRouter(16, 8, 2, bias=True)(torch.randn(5, 16))
        >>> weights.sum(-1).allclose(torch.ones(5)), chosen.shape
        (True, torch.Size([5, 2]))
    """

    def __init__(self, dim: int, experts: int, top_k: int, *, bias: bool = False):
        super().__init__()
        check_choice("TopKRouter", experts, top_k, dim=dim)
        self.top_k = top_k
        self.weight = nn.Parameter(torch.empty(experts, dim))
        self.bias = nn.Parameter(torch.empty(experts)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        best, chosen = router_logits(x, self.weight, self.bias).topk(self.top_k, -1)  # N k
        return best.softmax(-1), chosen
