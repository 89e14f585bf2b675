"""Linear attention: softmax's place is taken by features, and all keys fit into one matrix."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.ops.check import check_heads, check_input, check_positive, check_state
from blocks.ops.rows import Rows
from blocks.recurrent.written import LinearState, remembered
from blocks.spec import Slot
from blocks.step import Step

__all__ = ["LinearAttention"]


class LinearAttention(nn.Module):
    r"""S_t = γ S_{t−1} + φ(k_t) v_tᵀ,    z_t = γ z_{t−1} + φ(k_t),    φ = ELU + 1

        y_t = S_tᵀ φ(q_t) / (z_t·φ(q_t) + eps) for each head,    output = W_out [y_1 … y_H]

    Katharopoulos et al., "Transformers are RNNs", 2020, arXiv:2006.16236. With γ below 1 and
    without z it is the retention of Sun et al., 2023, arXiv:2307.08621.

    Args:
        dim: width D of the input and output.
        heads, kv_heads: query heads H; key/value heads K, a divisor of H, H by default.
        head_dim, value_dim: width E of a head, D / H by default, and of its values, E by default.
        bias: biases on all projections.
        feature: slot of size (head_dim) of φ; None is ELU + 1. One of other than E features says
            as its `width` how many.
        qk: what happens to features, but not for z: `RoPE` (Su et al., 2021, arXiv:2104.09864,
            section 3.3). Sizes (width, heads, kv_heads).
        decay: γ of each key/value head; None is 1.
        norm: slot of size (value_dim) of a norm of every y.
        eps: added to what is divided by; None is no division, and no z.
        chunk: tokens of a chunk; it changes the speed, not the result.

    Shapes: x [B T D] -> [B T D]. F features, V width of values.

    Errors:
        SpecError: sizes that don't fit each other, or an input of another width.

    Example:
        >>> import torch
        >>> from blocks import LinearAttention
        >>> attention = LinearAttention(16, heads=2)
        >>> attention(torch.randn(1, 6, 16)).shape
        torch.Size([1, 6, 16])
    """

    def __init__(
        self,
        dim: int,
        *,
        heads: int,
        kv_heads: int | None = None,
        head_dim: int | None = None,
        value_dim: int | None = None,
        bias: bool = False,
        feature: Slot | None = None,
        qk: tuple[Slot, ...] = (),
        decay: tuple[float, ...] | None = None,
        norm: Slot | None = None,
        eps: float | None = 1e-6,
        chunk: int = 64,
    ):
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        check_positive("LinearAttention", value_dim=value_dim, eps=eps, chunk=chunk)
        e = check_heads("LinearAttention", dim, heads, kv_heads, head_dim)
        decay = (1.0,) * kv_heads if decay is None else decay
        if len(decay) != kv_heads or not all(0 < left <= 1 for left in decay):
            reason = f"{decay} is not a number above 0 and up to 1 for each of {kv_heads} heads"
            raise SpecError(reason, field="LinearAttention.decay")
        self.dim, self.kv_heads, self.head_dim, self.value_dim = dim, kv_heads, e, value_dim or e
        self.decay, self.eps, self.chunk = decay, eps, chunk
        self.q = nn.Linear(dim, heads * e, bias=bias)
        self.k = nn.Linear(dim, kv_heads * e, bias=bias)
        self.v = nn.Linear(dim, kv_heads * self.value_dim, bias=bias)
        self.feature = feature(e) if feature else None
        self.width = getattr(self.feature, "width", e)
        self.memory = (kv_heads, self.width, self.value_dim + (eps is not None))
        self.qk = nn.ModuleList([part(self.width, heads, kv_heads) for part in qk])
        self.norm = norm(self.value_dim) if norm else None
        self.out = nn.Linear(heads * self.value_dim, dim, bias=bias)

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        check_input(x, self.dim, "LinearAttention")
        if state is not None:
            check_state("LinearAttention", state, LinearState, x, memory=self.memory)
        step = Step.plain(x) if step is None else step
        rows, wide = Rows.of(step), torch.promote_types(x.dtype, torch.float32)
        plain = turned = self._features(self.q(x)), self._features(self.k(x))  # B H T F, B K T F
        for part in self.qk:
            turned = part(*turned, step)
        q, k, *bare = (rows.take(one.transpose(1, 2)).to(wide) for one in (*turned, *plain))
        v = rows.take(self.v(x)).unflatten(-1, (self.kv_heads, -1)).to(wide)  # R L K V
        q, k, v = rows.noted(q=q, k=k, v=v)
        below = (bare[0], bare[1]) if len(self.qk) else None
        how = v.new_tensor(self.decay).log(), rows.real(v.shape[1])
        start = None if state is None else state.memory
        y, memory = remembered(q, k, v, below, *how, start, self.eps, self.chunk)  # R L H V
        if state is not None:
            state.memory = memory
        y = y.to(x.dtype) if self.norm is None else self.norm(y.to(x.dtype))
        return rows.put(self.out(y.flatten(2)))  # B T D

    def _features(self, x: Tensor) -> Tensor:
        """Queries or keys of all heads [B T …] -> their features [B H T F] or [B K T F]."""
        x = x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        return F.elu(x) + 1 if self.feature is None else self.feature(x)

    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> Any:
        wide = torch.promote_types(dtype, torch.float32)
        return LinearState(torch.zeros(batch, *self.memory, dtype=wide, device=device))
