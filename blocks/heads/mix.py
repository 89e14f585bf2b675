"""Layer mix: one state out of those that all layers leave behind."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive

__all__ = ["LayerMix"]


class LayerMix(nn.Module):
    r"""y_t = Σ_i softmax(w)_i x_it,    over what the first layer reads and each layer leaves

    Peters et al., "ELMo", 2018, arXiv:1802.05365; for sounds: Yang et al., "SUPERB", 2021,
    arXiv:2105.01051.

    Args:
        depth: layers N.

    Shapes: [B N+1 T D] -> [B T D].

    Errors:
        SpecError: another number of states.

    Example:
        >>> import torch
        >>> from blocks import LayerMix
        >>> LayerMix(1)(torch.tensor([[[[1.0]], [[3.0]]]])).item()
        2.0
    """

    def __init__(self, depth: int):
        super().__init__()
        check_positive("LayerMix", depth=depth)
        self.weight = nn.Parameter(torch.empty(depth + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.weight, 1 / len(self.weight))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != len(self.weight):
            wanted = f"[batch, {len(self.weight)}, tokens, dim]"
            raise SpecError(f"LayerMix mixes {wanted}, not {list(x.shape)}", field="depth")
        return torch.einsum("bntd,n->btd", x, self.weight.softmax(0))
