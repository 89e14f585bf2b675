"""N-gram embedding: a token's own vector and those of the few tokens that end with it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.conv.causal import TailState
from blocks.errors import SpecError
from blocks.ops.check import check_positive, check_state
from blocks.ops.rows import Rows
from blocks.step import Step

__all__ = ["NGramEmbedding"]

_PRIMES = (1000000007, 5915587277, 1500450271, 3267000013, 5754853343, 4093082899)
_PRIMES += (9576890767, 3628273133, 2860486313, 5463458053, 3367900313)


class NGramEmbedding(nn.Module):
    r"""x_t = E[token_t] + Σ_{f,n} G_{f,n}[h_{f,n}(t)]

        h_{f,n}(t) = (Σ_{i<n} token_{t−n+1+i} · p_f^i  in 64 bits)  mod buckets

    The n tokens that end with token t choose a row of a table by each of f hashes; sums run over
    into negative numbers, as those of 64 bits do. Before the first token there are zeros. Pagnoni
    et al., "Byte latent transformer", 2024, arXiv:2412.09871, section 3.2.1.

    Args:
        vocab: tokens V.
        dim: width D.
        sizes: of the n-grams.
        hashes: how often each is hashed, with another prime p_f each time.
        buckets: rows of each of the tables G, which lie one after the other in one tensor.

    Shapes: tokens [B T] int -> [B T D].

    Errors:
        SpecError: no sizes, more hashes than there are primes, or no token.

    Example:
        >>> import torch
        >>> from blocks import NGramEmbedding
        >>> embedding = NGramEmbedding(256, 8, sizes=(2, 3), buckets=100)
        >>> x = embedding(torch.tensor([list(b"to to")]))
        >>> embedding.grams.shape, x.shape, x[0, 1].equal(x[0, 4])  # "t" and "o" after other bytes
        (torch.Size([200, 8]), torch.Size([1, 5, 8]), False)
    """

    def __init__(
        self,
        vocab: int,
        dim: int,
        *,
        sizes: tuple[int, ...] = (3, 4, 5, 6, 7, 8),
        hashes: int = 1,
        buckets: int = 500_002,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, vocab=vocab, dim=dim, hashes=hashes, buckets=buckets)
        if not sizes or min(sizes) < 1:
            raise SpecError(f"{sizes} are no lengths of n-grams", field=f"{name}.sizes")
        if hashes > len(_PRIMES):
            reason = f"{hashes} hashes, and there are {len(_PRIMES)} primes"
            raise SpecError(reason, field=f"{name}.hashes")
        self.sizes, self.hashes, self.buckets = sizes, hashes, buckets
        self.weight = nn.Parameter(torch.empty(vocab, dim))
        self.grams = nn.Parameter(torch.empty(hashes * len(sizes) * buckets, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for table in (self.weight, self.grams):
            nn.init.trunc_normal_(table, std=(std := table.shape[1] ** -0.5), a=-3 * std, b=3 * std)

    def forward(
        self, tokens: Tensor, step: Step | None = None, state: TailState | None = None
    ) -> Tensor:
        if tokens.shape[1] == 0:
            raise SpecError(f"no token to read: tokens are {list(tokens.shape)}", field="tokens")
        rows = Rows() if step is None else Rows.of(step)
        text = rows.take(tokens).long()  # R L
        most = max(self.sizes) - 1
        if state is not None:
            check_state("NGramEmbedding", state, TailState, tokens.long(), tail=(most,))
        tail = text.new_zeros(len(text), most) if state is None else state.tail
        whole = torch.cat([tail, text], 1)
        if state is not None:
            state.tail = rows.newest(tail, text)
        x = F.embedding(text, self.weight)  # R L D
        pairs = [(prime, size) for prime in _PRIMES[: self.hashes] for size in self.sizes]
        for table, (prime, size) in enumerate(pairs):
            found = self._hashed(whole[:, most + 1 - size :], prime, size)
            x = x + F.embedding(found + table * self.buckets, self.grams)
        return rows.put(x)

    def _hashed(self, text: Tensor, prime: int, size: int) -> Tensor:
        """h(t) of one hash and size [R L], of texts with n − 1 tokens before."""
        powers = [_wrapped(prime**i) for i in range(size)]
        windows = text.unfold(1, size, 1)  # R L n
        return (windows * torch.tensor(powers, device=text.device)).sum(-1) % self.buckets

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> TailState:
        size = (batch, max(self.sizes) - 1)
        return TailState(torch.zeros(size, dtype=torch.int64, device=device), "NGramEmbedding")


def _wrapped(number: int) -> int:
    """What 64 bits with a sign keep of a number."""
    return (number + 2**63) % 2**64 - 2**63
