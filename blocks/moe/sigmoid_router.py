"""Sigmoid router: every expert is scored by itself, and a correction keeps the load even."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive
from blocks.ops.dispatch import best_groups, check_choice, router_logits

__all__ = ["SigmoidRouter"]


class SigmoidRouter(nn.Module):
    r"""s = σ(W x);   chosen = the k largest s_i + c_i;   weight_i = scale · s_i / Σ_chosen s_j

    The correction c only helps to choose, and no gradient changes it: training raises it for
    experts that got too few tokens. It is saved with the model. DeepSeek-AI, "DeepSeek-V3", 2024,
    arXiv:2412.19437, section 2.1.2.

    Args:
        dim: width D.
        experts: experts X.
        top_k: experts k that a token goes to.
        renormalize: divide by the sum over the chosen; without, weight_i = scale · s_i.
        groups: equal groups of neighbouring experts; a group is as good as the sum of its two best.
        kept_groups: only the experts of that many best groups can be chosen.
        scale: what the weights are multiplied with.
        correction: whether there is a correction; else c is 0.
        cap: bound of the logits W x, which become cap · tanh(W x / cap); None is none.
        by: what it is added to, and the choice looks at: the `score` s, or the `logit` W x.

    Shapes: x [N D] -> weights [N k] in at least float32, chosen [N k] int.

    Errors:
        SpecError: unequal groups, or fewer experts than are to be chosen.

    Example:
        >>> import torch
        >>> from blocks import SigmoidRouter
        >>> router = SigmoidRouter(16, 8, 2, groups=4, kept_groups=1, scale=2.5)
        >>> weights, chosen = router(torch.randn(5, 16))
        >>> weights.sum(-1).allclose(torch.full((5,), 2.5)), chosen.shape
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
        correction: bool = True,
        cap: float | None = None,
        by: Literal["score", "logit"] = "score",
    ):
        super().__init__()
        sizes = (experts, top_k, groups, kept_groups, min(2, experts))
        check_choice("SigmoidRouter", *sizes, dim=dim, scale=scale)
        check_positive("SigmoidRouter", cap=cap)
        self.top_k, self.renormalize, self.scale, self.cap = top_k, renormalize, scale, cap
        self.groups, self.kept_groups, self.by = groups, kept_groups, by
        self.weight = nn.Parameter(torch.empty(experts, dim))
        self.register_buffer("correction", torch.empty(experts) if correction else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)
        if self.correction is not None:
            nn.init.zeros_(self.correction)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = router_logits(x, self.weight)  # N X
        logits = logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)
        scores = logits.sigmoid()
        seen = scores if self.by == "score" else logits
        corrected = seen if self.correction is None else seen + self.correction
        kept = best_groups(corrected, self.groups, self.kept_groups, 2)
        chosen = kept.topk(self.top_k, -1).indices
        weights = scores.gather(-1, chosen)  # N k
        if self.renormalize:
            # Every score can be zero in float32, and 0 / 0 is no weight.
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * self.scale, chosen
