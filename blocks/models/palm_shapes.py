"""PaLM: the three published sizes. No weights were published."""

from __future__ import annotations

from typing import NamedTuple

from blocks.arguments import check_choice
from blocks.attention.gq import GQAttention
from blocks.heads.language import LMHead
from blocks.mlp.gated import GatedMLP
from blocks.models.causal import CausalLM
from blocks.norm.layer import LayerNorm
from blocks.positions.rope import RoPE
from blocks.spec import Spec
from blocks.wiring.parallel import Parallel
from blocks.wiring.residual import Residual

__all__ = ["palm"]


class _Shape(NamedTuple):
    depth: int
    dim: int
    heads: int


_SHAPES = {
    "8B": _Shape(32, 4096, 16),
    "62B": _Shape(64, 8192, 32),
    "540B": _Shape(118, 18432, 48),
}


def palm(name: str, *, vocab: int = 256_000, context: int = 2048) -> Spec:
    """The Spec of a PaLM: attention and MLP side by side under one norm, one key head for all.

    Chowdhery et al., 2022, arXiv:2204.02311, section 2: RoPE, SwiGLU, no biases, tied tables,
    logits divided by √D.

    Args:
        name: "8B", "62B" or "540B".
        vocab: tokens V.
        context: tokens it was trained on at a time.

    Errors:
        SpecError: no such size.

    Example:
        >>> import torch
        >>> from blocks import palm
        >>> with torch.device("meta"):
        ...     model = palm("8B")()
        >>> sum(tensor.numel() for tensor in model.parameters())
        8632012800
    """
    check_choice(name, _SHAPES, "name", "size of PaLM")
    depth, dim, heads = _SHAPES[name]
    norm = Spec(LayerNorm, bias=False)
    branches = {
        "attention": Spec(GQAttention, heads=heads, kv_heads=1, head_dim=256, qk=(RoPE,)),
        "mlp": Spec(GatedMLP, hidden=4 * dim),
    }
    layer = Spec(Residual, inner=Spec(Parallel, branches=branches), norm_in=norm)
    return Spec(
        CausalLM,
        vocab=vocab,
        dim=dim,
        layers=(layer,) * depth,
        norm=norm,
        head=Spec(LMHead, scale=dim**-0.5),
        ties=(("head.weight", "embedding.weight"),),
        context=context,
    )
