"""Softmax router: a token goes to the experts that a softmax over all of them likes best."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.ops.dispatch import best_groups, check_choice, router_logits

__all__ = ["SoftmaxRouter"]


class SoftmaxRouter(nn.Module):
    r"""p = softmax(W x + b),  chosen = k largest p_i + c_i,  weight_i = scale · p_i / Σ_chosen p_j

    Shazeer et al., 2017, arXiv:1701.06538; Jiang et al., "Mixtral of experts", 2024,
    arXiv:2401.04088; groups as in DeepSeek-AI, "DeepSeek-V2", 2024, arXiv:2405.04434; the
    correction as in `SigmoidRouter`.

    Args:
        dim: width D.
        experts: experts X.
        top_k: experts k that a token goes to.
        renormalize: divide by the sum over the chosen; without, weight_i = scale · p_i.
        groups: equal groups of neighbouring experts; a group is as good as its best expert.
        kept_groups: only the experts of that many best groups can be chosen.
        scale: what the weights are multiplied with.
        bias: whether there is a bias.
        correction: whether there is a correction c, which no gradient changes; else it is 0.

    Shapes: x [N D] -> weights [N k] in at least float32, chosen [N k] int.

    Errors:
        SpecError: unequal groups, or fewer experts than are to be chosen.

    Example:
        >>> import torch
        >>> from blocks import SoftmaxRouter
        >>> weights, chosen = SoftmaxRouter(16, 8, 2)(torch.randn(5, 16))
        >>> weights.sum(-1).allclose(torch.ones(5)), chosen.shape
        (True, torch.Size([5, 2]))
    """

    correction: Tensor | None

    def __init__(
        self,
        dim: int,
        experts: int,
        top_k: int,
        *,
        renormalize: bool = True,
        groups: int = 1,
        kept_groups: int = 1,
        scale: float = 1.0,
        bias: bool = False,
        correction: bool = False,
    ):
        super().__init__()
        sizes = (experts, top_k, groups, kept_groups)
        check_choice("SoftmaxRouter", *sizes, dim=dim, scale=scale)
        self.top_k, self.renormalize, self.scale = top_k, renormalize, scale
        self.groups, self.kept_groups = groups, kept_groups
        self.weight = nn.Parameter(torch.empty(experts, dim))
        self.bias = nn.Parameter(torch.empty(experts)) if bias else None
        self.register_buffer("correction", torch.empty(experts) if correction else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        if self.correction is not None:
            nn.init.zeros_(self.correction)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        p = router_logits(x, self.weight, self.bias).softmax(-1)  # N X
        liked = p if self.correction is None else p + self.correction
        chosen = best_groups(liked, self.groups, self.kept_groups, 1).topk(self.top_k, -1).indices
        weights = p.gather(-1, chosen)  # N k
        if self.renormalize:
            # A correction can choose shares that are zero in float32, and 0 / 0 is no weight.
            weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
        return weights * self.scale, chosen
