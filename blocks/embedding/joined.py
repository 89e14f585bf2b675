"""Joined embedding: one vector of several tokens side by side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_positive
from blocks.spec import Slot

__all__ = ["JoinedEmbedding"]


class JoinedEmbedding(nn.Module):
    r"""x_n = norm_out(W norm_in([E token_{nP} … E token_{nP+P−1}]) + b)

    The patch embedder of Yu et al., "MegaByte", 2023, arXiv:2305.07185, section 2.2, which joins
    alone; the projection and the norms are those of MEGABYTE-pytorch.

    Args:
        vocab: tokens V.
        dim: width D.
        count: tokens P of a patch.
        width: of the embedding E of a token; None is D / P.
        norm_in: norm of the joined vectors.
        norm_out: norm of what W makes of them.

    Shapes: tokens [... P] int -> [... D].

    Errors:
        SpecError: patches of another length, or a width that P tokens can't share.

    Example:
        >>> import torch
        >>> from blocks import JoinedEmbedding
        >>> patches = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
        >>> JoinedEmbedding(256, 16, count=4)(patches).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        vocab: int,
        dim: int,
        *,
        count: int,
        width: int | None = None,
        norm_in: Slot | None = None,
        norm_out: Slot | None = None,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, vocab=vocab, dim=dim, count=count, width=width)
        if width is None and dim % count:
            reason = f"{count} tokens can't share {dim} channels"
            raise SpecError(reason, field=f"{name}.count", hint="give a width")
        self.count, size = count, width or dim // count
        self.weight = nn.Parameter(torch.empty(vocab, size))
        self.norm_in = norm_in(count * size) if norm_in else None
        self.project = nn.Linear(count * size, dim)
        self.norm_out = norm_out(dim) if norm_out else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.02)  # as in TokenEmbedding

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[-1] != self.count:
            reason = f"a patch has {self.count} tokens, not {tokens.shape[-1]}"
            raise SpecError(reason, field="tokens")
        x = F.embedding(tokens, self.weight).flatten(-2)  # ... P·W
        x = x if self.norm_in is None else self.norm_in(x)
        x = self.project(x)  # ... D
        return x if self.norm_out is None else self.norm_out(x)
