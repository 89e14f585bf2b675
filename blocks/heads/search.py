"""Span search head: the likeliest answers in a text, and whether there is one at all."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from blocks.heads.pooler import pooled
from blocks.norm.layer import LayerNorm
from blocks.ops.check import check_input, check_positive
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["SpanSearch", "SpanSearchHead"]


class SpanSearch(NamedTuple):
    """The likeliest begins of an answer, and the likeliest ends for each of them.

    Places count a text's own tokens, as if there were no padding.

    Attributes:
        begin: probabilities [B S], falling.
        begins: their places [B S].
        end: probabilities [B S E] of the ends for each begin, falling.
        ends: their places [B S E].
        absent: the logit [B] that the text has no answer.
    """

    begin: Tensor
    begins: Tensor
    end: Tensor
    ends: Tensor
    absent: Tensor


class SpanSearchHead(nn.Module):
    r"""p_t = softmax_t(w_b x_t),    q_ts = softmax_t(w_e norm(tanh(W_e [x_t, x_s])))

    The `begins` likeliest tokens s begin answers, each of which ends at one of its `ends`
    likeliest tokens. That there is none: w_a tanh(W_a [Σ_t p_t x_t, x_last]).
    Yang et al., "XLNet", 2019, arXiv:1906.08237, section 3.4.

    Args:
        dim: width D.
        begins: places S where answers may begin; fewer in a text that has less room.
        ends: places E where each of these may end.
        norm: slot of size (dim).

    Shapes: [B T D] -> `SpanSearch` of [B S], [B S], [B S E], [B S E], [B].

    Errors:
        SpecError: an input of another width, or texts packed into one row.

    Example:
        >>> import torch
        >>> from blocks import SpanSearchHead
        >>> SpanSearchHead(4, begins=3, ends=2)(torch.randn(1, 5, 4)).ends.shape
        torch.Size([1, 3, 2])
    """

    def __init__(self, dim: int, *, begins: int = 5, ends: int = 5, norm: Slot = LayerNorm):
        super().__init__()
        check_positive("SpanSearchHead", dim=dim, begins=begins, ends=ends)
        self.begin = nn.Linear(dim, 1)
        self.pair = nn.Linear(2 * dim, dim)
        self.norm = norm(dim)
        self.end = nn.Linear(dim, 1)
        self.whole = nn.Linear(2 * dim, dim)
        self.absent = nn.Linear(dim, 1, bias=False)
        self.dim, self.begins, self.ends = dim, begins, ends

    def forward(self, x: Tensor, step: Step | None = None) -> SpanSearch:
        check_input(x, self.dim, "SpanSearchHead")
        real = None if step is None else step.real
        hidden = torch.zeros_like(x[..., 0], dtype=torch.bool) if real is None else ~real  # B T
        p = self.begin(x)[..., 0].masked_fill(hidden, float("-inf")).softmax(1)  # B T
        begin, s = p.topk(min(self.begins, x.shape[1]), 1)  # B S
        chosen = x.gather(1, s[..., None].expand(-1, -1, self.dim))  # B S D
        pairs = torch.cat(torch.broadcast_tensors(x[:, None], chosen[:, :, None]), -1)  # B S T 2D
        logits = self.end(self.norm(self.pair(pairs).tanh()))[..., 0]  # B S T
        q = logits.masked_fill(hidden[:, None], float("-inf")).softmax(2)
        end, t = q.topk(min(self.ends, x.shape[1]), 2)  # B S E
        whole = torch.cat([torch.einsum("bt,btd->bd", p, x), pooled(x, "last", step)], -1)  # B 2D
        absent = self.absent(self.whole(whole).tanh())[:, 0]  # B
        place = ((~hidden).cumsum(1) - 1).clamp(min=0)  # B T
        ends = place.gather(1, t.flatten(1)).view_as(t)
        return SpanSearch(begin, place.gather(1, s), end, ends, absent)
