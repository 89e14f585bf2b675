"""GPT-3: the eight published sizes. No weights were published."""

from __future__ import annotations

from typing import NamedTuple

from blocks.arguments import check_choice
from blocks.attention.gq import GQAttention
from blocks.attention.mask import Window
from blocks.edit import replace
from blocks.mlp.plain import MLP
from blocks.models.causal import CausalLM
from blocks.norm.layer import LayerNorm
from blocks.positions.learned import LearnedPositions
from blocks.spec import Spec
from blocks.wiring.chain import Chain
from blocks.wiring.residual import Residual

__all__ = ["gpt3"]


class _Shape(NamedTuple):
    depth: int
    dim: int
    heads: int
    head_dim: int


# As printed, though 24 heads of 128 channels are not 2048, and 40 are not 5140.
_SHAPES = {
    "125M": _Shape(12, 768, 12, 64),
    "350M": _Shape(24, 1024, 16, 64),
    "760M": _Shape(24, 1536, 16, 96),
    "1.3B": _Shape(24, 2048, 24, 128),
    "2.7B": _Shape(32, 2560, 32, 80),
    "6.7B": _Shape(32, 4096, 32, 128),
    "13B": _Shape(40, 5140, 40, 128),
    "175B": _Shape(96, 12288, 96, 128),
}


def gpt3(name: str, *, band: int | None = 256, vocab: int = 50257, context: int = 2048) -> Spec:
    """The Spec of a GPT-3: GPT-2's layers, of which each second one sees a band alone.

    Brown et al., 2020, arXiv:2005.14165, table 2.1. With the table's 24 heads "1.3B" has 1.5
    billion parameters; the printed 1.3 belong to 16 heads.

    Args:
        name: "125M", "350M", "760M", "1.3B", "2.7B", "6.7B", "13B" or "175B".
        band: how many tokens the banded layers see, which the paper doesn't say; None: all.
        vocab: tokens V.
        context: rows of the table of positions.

    Errors:
        SpecError: no such size.

    Example:
        >>> import torch
        >>> from blocks import gpt3
        >>> with torch.device("meta"):
        ...     model = gpt3("125M")()
        >>> sum(tensor.numel() for tensor in model.parameters())
        125226240
    """
    check_choice(name, _SHAPES, "name", "size of GPT-3")
    depth, dim, heads, head_dim = _SHAPES[name]
    dense = Spec(GQAttention, heads=heads, head_dim=head_dim, bias=True, out_bias=True)
    banded = dense if band is None else replace(dense, mask=Window(band))
    mlp = Spec(MLP, hidden=4 * dim, act="gelu_tanh", bias=True)
    return Spec(
        CausalLM,
        vocab=vocab,
        dim=dim,
        layers=tuple(_layer(banded if i % 2 else dense, mlp) for i in range(depth)),
        norm=Spec(LayerNorm),
        stem=Spec(LearnedPositions, rows=context),
        ties=(("head.weight", "embedding.weight"),),
        context=context,
    )


def _layer(attention: Spec, mlp: Spec) -> Spec:
    steps = {"attention": attention, "mlp": mlp}
    return Spec(
        Chain,
        steps={
            step: Spec(Residual, inner=inner, norm_in=LayerNorm) for step, inner in steps.items()
        },
    )
