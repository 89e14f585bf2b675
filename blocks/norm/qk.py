"""Query-key norm: queries and keys are normed before they meet."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from blocks.ops.check import check_positive
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["QKNorm"]


class QKNorm(nn.Module):
    r"""q ↦ norm_q(q),   k ↦ norm_k(k)

    so that scores can't grow without bound. Henry et al., "Query-key normalization", 2020,
    arXiv:2010.04245; with learnt norms Dehghani et al., "ViT-22B", 2023, arXiv:2302.05442.

    Args:
        head_dim: width E of a head.
        heads: query heads H.
        kv_heads: key heads K.
        norm: slot of the width that is normed: `RMSNorm` (Qwen3), `LayerNorm` (Persimmon).
        gain: a learnt gain for every channel of every head besides (Cohere).
        over: `head` norms each head by itself with one weight of width E for all, `each` with a
            weight for each (StableLM); `all` norms the heads together, as one vector of width
            H·E and one of width K·E (OLMo 2).

    Shapes: q [B H T E], k [B K T E] -> the same.

    Errors:
        SpecError: a size below one.

    Example:
        >>> import torch
        >>> from blocks import QKNorm, RMSNorm, Step
        >>> q, k = torch.randn(1, 4, 6, 16), torch.randn(1, 2, 6, 16)
        >>> q, k = QKNorm(16, 4, 2, norm=RMSNorm)(q, k, Step.plain(torch.zeros(1, 6, 64)))
        >>> bool(torch.allclose(k.square().mean(-1), torch.ones(1, 2, 6), atol=1e-4))
        True
    """

    def __init__(
        self,
        head_dim: int,
        heads: int,
        kv_heads: int,
        *,
        norm: Slot,
        gain: bool = False,
        over: Literal["head", "each", "all"] = "head",
    ):
        super().__init__()
        check_positive("QKNorm", head_dim=head_dim, heads=heads, kv_heads=kv_heads)
        self.over = over
        if over == "each":
            self.q = nn.ModuleList([norm(head_dim) for _ in range(heads)])
            self.k = nn.ModuleList([norm(head_dim) for _ in range(kv_heads)])
        else:
            self.q = norm(head_dim if over == "head" else heads * head_dim)
            self.k = norm(head_dim if over == "head" else kv_heads * head_dim)
        self.q_gain = nn.Parameter(torch.ones(heads, head_dim)) if gain else None
        self.k_gain = nn.Parameter(torch.ones(kv_heads, head_dim)) if gain else None

    def forward(self, q: Tensor, k: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        return self._normed(q, self.q, self.q_gain), self._normed(k, self.k, self.k_gain)

    def _normed(self, x: Tensor, norm: nn.Module, gain: Tensor | None) -> Tensor:
        if self.over == "head":
            y = norm(x)  # B H T E
        elif isinstance(norm, nn.ModuleList):
            y = torch.stack([own(x[:, i]) for i, own in enumerate(norm)], 1)  # B H T E
        else:
            together = norm(x.transpose(1, 2).flatten(2))  # B T H·E
            y = together.unflatten(2, (x.shape[1], -1)).transpose(1, 2)  # B H T E
        return y if gain is None else y * gain[:, None]
