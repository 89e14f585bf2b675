"""The gated delta net: a memory of fixed size that is corrected where it is wrong."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.conv.causal import CausalConv
from blocks.errors import SpecError
from blocks.mlp.activations import Activation, activation
from blocks.norm.gated import GatedRMSNorm
from blocks.ops.check import check_heads, check_input, check_positive, check_state
from blocks.ops.delta import delta_rule, unit
from blocks.ops.rows import Rows
from blocks.recurrent.corrected import DeltaState
from blocks.spec import Slot, Spec
from blocks.step import Step

__all__ = ["GatedDeltaNet"]


class GatedDeltaNet(nn.Module):
    r"""Each head keeps a matrix S that leads from keys to values. A token lets it fade by α, writes
    the part β of what its key lacks, and reads; q, k, v pass a `CausalConv`, q and k have length 1:

        S_t = α S_{t−1} + k ⊗ β (v − α S_{t−1}ᵀ k),        y_t = norm(S_tᵀ q / √E) ⊙ silu(W_gate x)
        α = exp(−e^A softplus(W_dt x + b)),                β = strength · σ(W_beta x)

    Yang et al., "Gated delta networks", 2024, arXiv:2412.06464. Sums are in at least float32.

    Args:
        dim: width D of the input and output.
        heads, head_dim: heads K of q and k, H / K neighbours each; their width E, D / K by default.
        value_heads, value_dim: heads H of values, K by default; their width V, E by default.
        kernel, act: tokens that the convolutions read; the activation after them.
        strength: bound of β; 2 lets a token turn things round (Grazzi, 2024, arXiv:2411.12537).
        norm: of what is read, with the gate. Slot of size (value_dim).
        chunk: tokens that are computed together. It changes the speed, not the result.

    Shapes: x [B T D] -> [B T D].

    Errors:
        SpecError: sizes that don't fit each other, or an input of another width.
        GenerationError: a state of another block, batch or dtype.

    Example:
        >>> import torch
        >>> from blocks import GatedDeltaNet
        >>> GatedDeltaNet(64, heads=2, head_dim=16, value_heads=4)(torch.randn(1, 5, 64)).shape
        torch.Size([1, 5, 64])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        head_dim: int | None = None,
        value_heads: int | None = None,
        value_dim: int | None = None,
        kernel: int = 4,
        act: Activation = "silu",
        strength: float = 1.0,
        norm: Slot = Spec(GatedRMSNorm, gate_first=False),  # frozen
        chunk: int = 64,
    ):
        super().__init__()
        sizes = {"value_heads": value_heads, "value_dim": value_dim, "kernel": kernel}
        check_positive("GatedDeltaNet", chunk=chunk, strength=strength, **sizes)
        e = check_heads("GatedDeltaNet", dim, heads, heads, head_dim)
        h, v = value_heads or heads, value_dim or e
        if h % heads:
            raise SpecError(f"{h} is no multiple of {heads}", field="GatedDeltaNet.value_heads")
        self.dim, self.strength, self.chunk = dim, strength, chunk
        self.heads, self.memory, self.sizes = heads, (h, e, v), (heads * e, heads * e, h * v)
        self.tail = (kernel - 1, sum(self.sizes))
        self.q, self.k, self.v = (nn.Linear(dim, size, bias=False) for size in self.sizes)
        convs = [CausalConv(size, kernel=kernel, bias=False) for size in self.sizes]
        self.q_conv, self.k_conv, self.v_conv = convs
        self.dt, self.beta = (nn.Linear(dim, h, bias=False) for _ in range(2))
        self.a_log, self.dt_bias = (nn.Parameter(torch.empty(h)) for _ in range(2))
        self.gate, self.out = nn.Linear(dim, h * v, bias=False), nn.Linear(h * v, dim, bias=False)
        self.act, self.norm = activation(act), norm(v)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.a_log, 0, 2.77)  # decays of 1 to 16
        nn.init.uniform_(self.dt_bias, -7, -2)  # softplus makes steps of 0.001 to 0.1 of it

    def forward(
        self, x: Tensor, step: Step | None = None, state: DeltaState | None = None
    ) -> Tensor:
        check_input(x, self.dim, "GatedDeltaNet")
        if state is not None:
            check_state("GatedDeltaNet", state, DeltaState, x, memory=self.memory, tail=self.tail)
        rows = Rows() if step is None else Rows.of(step)
        x = rows.take(x)  # R L D
        now = state or self.init_state(len(x), None, x.dtype, x.device)
        pairs = ((self.q, self.q_conv), (self.k, self.k_conv), (self.v, self.v_conv))
        tails = zip(pairs, now.tail.split(self.sizes, -1), strict=True)
        parts = [conv.over(read(x), rows, tail) for (read, conv), tail in tails]
        now.tail = torch.cat([tail for _, tail in parts], -1)
        q, k, v = (self.act(part).to(now.memory.dtype) for part, _ in parts)
        q, k = (unit(part.unflatten(-1, (self.heads, -1))) for part in (q, k))  # R L K E
        q, k, v = rows.noted(q=q, k=k, v=v.unflatten(-1, (self.memory[0], -1)))  # R L K E, … H V
        decay = -self.a_log.to(v.dtype).exp() * F.softplus(self.dt(x).to(v.dtype) + self.dt_bias)
        beta = self.strength * torch.sigmoid(self.beta(x)).to(v.dtype)
        if (real := rows.real(x.shape[1])) is not None:  # what isn't neither writes nor fades
            decay, beta = (part * real[..., None] for part in (decay, beta))
        y, now.memory = delta_rule(q, k, v, decay, beta, now.memory, self.chunk)
        y = self.norm(y.to(x.dtype), self.gate(x).unflatten(-1, (self.memory[0], -1)))
        return rows.put(self.out(y.flatten(2)))  # B T D

    def init_state(
        self, batch: int, room: int | None, dtype: torch.dtype, device: Any
    ) -> DeltaState:
        return DeltaState.empty(batch, self.memory, self.tail, dtype, device)
