"""Mixture of experts: each token is sent to a few of many MLPs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.moe import alike
from blocks.moe.softmax_router import SoftmaxRouter
from blocks.ops.check import check_input, check_positive
from blocks.ops.dispatch import dispatch, routed
from blocks.spec import Slot

__all__ = ["MoE"]


class MoE(nn.Module):
    r"""y = scale · (Σ_{i in chosen(x)} weight_i(x) · expert_i(x) + σ(w x) · shared(x))

    Shazeer et al., "Outrageously large neural networks", 2017, arXiv:1701.06538; the shared expert
    that every token passes is Dai et al., "DeepSeekMoE", 2024, arXiv:2401.06066. How experts are
    chosen and weighted is the router's.

    Compiled, experts run outside the graph, each on its own tokens. `fullgraph=True` takes them all
    into it, still each on its own tokens; compiling then takes as long as there are experts.
    `blocks.optimize` makes one operation of them, which reads the chosen experts alone.

    Args:
        dim: width D.
        experts: how many experts X there are.
        top_k: how many of them a token goes to.
        expert: slot of size (dim) of each, an MLP.
        router: slot of sizes (dim, experts, top_k) whose forward is x [N D] -> (weights [N k],
            chosen [N k]): `SoftmaxRouter`, `TopKRouter`, `SigmoidRouter`, `SparseMixerRouter`.
        shared: slot of size (dim) of what every token passes as well.
        shared_gate: weigh the shared expert by σ(w x) (Qwen2-MoE), else by 1.
        scale: what the sum is multiplied with.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: more experts to choose than there are, a gate with nothing behind it, or an
            input of another width.

    Example:
        >>> import torch
        >>> from blocks import GatedMLP, MoE, Spec
        >>> moe = MoE(16, experts=8, top_k=2, expert=Spec(GatedMLP, hidden=32))
        >>> moe(torch.randn(2, 3, 16)).shape, moe.experts[0].gate.weight.shape
        (torch.Size([2, 3, 16]), torch.Size([32, 16]))
    """

    def __init__(
        self,
        dim: int,
        *,
        experts: int,
        top_k: int,
        expert: Slot,
        router: Slot = SoftmaxRouter,
        shared: Slot | None = None,
        shared_gate: bool = False,
        scale: float = 1.0,
    ):
        super().__init__()
        check_positive("MoE", dim=dim, experts=experts, top_k=top_k, scale=scale)
        if shared_gate and shared is None:
            raise SpecError("a gate needs a shared expert", field="MoE.shared_gate")
        self.dim, self.scale = dim, scale
        self.router = router(dim, experts, top_k)
        self.experts = nn.ModuleList([expert(dim) for _ in range(experts)])
        self.shared_gate = nn.Linear(dim, 1, bias=False) if shared_gate else None
        self.shared = shared(dim) if shared else None

    def forward(self, x: Tensor) -> Tensor:
        check_input(x, self.dim, "MoE")
        tokens = x.flatten(0, 1)  # N D
        weights, chosen = self.router(tokens)  # N k
        weights, chosen = routed(weights, chosen, len(self.experts), x.shape[:2])
        y = self.mixed(tokens, weights, chosen).view_as(x)  # B T D
        if self.shared is not None:
            shared = self.shared(x)  # B T D
            if self.shared_gate is not None:
                shared = torch.sigmoid(self.shared_gate(x)) * shared
            y = y + shared
        return y if self.scale == 1.0 else y * self.scale

    def mixed(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """What the chosen experts [N k] make of x [N D], by weights [N k]."""
        if alike.suits(self.experts, x, chosen):
            return alike.mixed(x, weights, chosen, self.experts)
        return dispatch(x, weights, chosen, self.experts)
