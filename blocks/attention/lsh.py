"""LSH attention: a token looks at those whose vectors point its way, found by hashing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.lshmemory import LSHState
from blocks.attention.mask import Causal, Mask
from blocks.attention.seen import Seen
from blocks.errors import SpecError
from blocks.ops.check import check_heads, check_input, check_positive, check_rate
from blocks.ops.hashed import attend_hashed, bucket_of, check_buckets, drawn
from blocks.ops.watch import noted, through
from blocks.step import Step

__all__ = ["LSHAttention"]


class LSHAttention(nn.Module):
    r"""y_t = Σ_r w_tr Σ_s softmax_s(q_t k_sᵀ) v_s,     k_s = q_s / |q_s|,    w_t = softmax_r(z_tr)

    In round r tokens are sorted by buckets, argmax [q R_r, −q R_r] of random R_r, and cut into
    chunks; s is in the chunk of t or beside it, and z_tr the logarithm of the softmax's sum. A
    token sees itself only where it sees nothing else. Up to `chunk` tokens there is one chunk
    in the order of the text. Kitaev et al., "Reformer", 2020, arXiv:2001.04451; time T log T.

    Which earlier tokens fall into a token's chunk depends on the later ones. A state adds new
    tokens as the last of one pass over all of them, and leaves what earlier ones saw.

    Args:
        dim: width D of the input and output.
        heads, head_dim: heads H; width E of a head, D / H by default.
        buckets: an even number, or several whose combinations are the buckets.
        hashes: rounds R.
        chunk: tokens L of a chunk, in the order of the buckets.
        before, after: how many chunks on either side a chunk sees beside itself, in a circle.
        multiple: chunks are made of so many tokens or a multiple, padding last; None is `chunk`.
        seed: of the rotations. None: others in every call in training, those of 0 in evaluation.
        mask: which of these keys a query sees: `Causal()`, `Full()`.
        dropout: rate of dropped weights in training.

    Shapes: x [B T D] -> [B T D]. B batch, T new tokens, S tokens seen, C chunks.

    Errors:
        SpecError: sizes that don't fit, an input of another width, or packed documents.

    Example:
        >>> import torch
        >>> from blocks import LSHAttention
        >>> LSHAttention(64, heads=8, buckets=8, chunk=16)(torch.randn(1, 100, 64)).shape
        torch.Size([1, 100, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        buckets: int | tuple[int, ...],
        chunk: int,
        head_dim: int | None = None,
        hashes: int = 1,
        before: int = 1,
        after: int = 0,
        multiple: int | None = None,
        seed: int | None = None,
        mask: Mask = Causal(),  # frozen
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive("LSHAttention", hashes=hashes, chunk=chunk, multiple=multiple)
        check_rate("LSHAttention", dropout=dropout)
        e = check_heads("LSHAttention", dim, heads, heads, head_dim)
        if min(before, after) < 0:
            raise SpecError(f"{before} and {after} chunks aren't beside one", field="before, after")
        self.buckets, self.mask = check_buckets(buckets), mask
        self.multiple = chunk if multiple is None else multiple
        if self.multiple % chunk:
            reason = f"{multiple} is no multiple of the chunk of {chunk}"
            raise SpecError(reason, field="LSHAttention.multiple")
        self.dim, self.heads, self.head_dim, self.dropout = dim, heads, e, dropout
        self.chunk, self.hashes, self.reach, self.seed = chunk, hashes, (before, after), seed
        self.qk = nn.Linear(dim, heads * e, bias=False)
        self.v = nn.Linear(dim, heads * e, bias=False)
        self.out = nn.Linear(heads * e, dim, bias=False)

    def forward(self, x: Tensor, step: Step | None = None, state: LSHState | None = None) -> Tensor:
        check_input(x, self.dim, "LSHAttention")
        step = Step.plain(x) if step is None else step
        if step.segments is not None or step.seen is not None:
            raise SpecError("several packed documents would share their buckets", field="segments")
        (q,) = noted(q=self.qk(x).unflatten(-1, (self.heads, -1)).transpose(1, 2))  # B H T E
        v = self.v(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B H T E
        wide = torch.promote_types(q.dtype, torch.float32)
        rotations = self._rotations(step, x.device, self.training and state is None)
        buckets = bucket_of(q.detach().to(wide), rotations, self.buckets)  # B H T R
        seen = Seen.new(q, v, step)
        if state is not None:
            seen, buckets = state.add(q, v, buckets, step)  # B H S E, B H S R
        own = torch.arange(x.shape[1], device=x.device)[None]
        index = own if seen.place == "step" else step.positions  # what is kept lies at its position
        how = {"chunk": self.chunk, "multiple": self.multiple, "reach": self.reach}
        how["dropout"] = self.dropout if self.training else 0.0
        (v,), places = noted(v=seen.v), (index, seen.positions, seen.real)
        y = through(lambda v: attend_hashed(seen.k, v, buckets, *places, self.mask, **how), v)
        return self.out(y.transpose(1, 2).flatten(2))  # B T D

    def _rotations(self, step: Step, device: torch.device, fresh: bool) -> Tensor:
        shape = (self.heads, self.head_dim, self.hashes, sum(self.buckets) // 2)
        if fresh and self.seed is None:
            return torch.randn(shape, device=device)
        key = (LSHAttention, self.seed or 0, shape)
        return step.once(key, lambda: drawn(shape, self.seed or 0).to(device))

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> LSHState:
        sizes, like = (self.heads, self.head_dim, self.hashes), {"dtype": dtype, "device": device}
        return LSHState.made(batch, sizes, room, like)
