"""MambaByte: the three published sizes of Mamba over bytes. No weights are left of them."""

from __future__ import annotations

from blocks.arguments import check_choice
from blocks.models.causal import CausalLM
from blocks.norm.rms import RMSNorm
from blocks.spec import Spec
from blocks.ssm.mamba import Mamba
from blocks.wiring.chain import Chain
from blocks.wiring.residual import Residual
from blocks.wiring.wide import Widen

__all__ = ["mamba_byte"]

_SHAPES = {"353M": (53, 1024), "972M": (48, 1792), "1.6B": (48, 2304)}  # layers and width


def mamba_byte(name: str) -> Spec:
    """The Spec of a MambaByte: Mamba whose tokens are the 256 bytes.

    Wang et al., "MambaByte: token-free selective state space model", 2024, arXiv:2401.13660.
    `byte_tokenizer(pad=None, eos=None, unk=None)` is its tokenizer. As Mamba's own files have it,
    what runs past the mixers is float32 and head and embedding are one.

    Args:
        name: "353M", "972M" or "1.6B".

    Errors:
        SpecError: no such size.

    Example:
        >>> import torch
        >>> from blocks import mamba_byte
        >>> with torch.device("meta"):
        ...     model = mamba_byte("353M")()
        >>> sum(tensor.numel() for tensor in model.parameters())
        353628160
    """
    check_choice(name, _SHAPES, "name", "size of MambaByte")
    depth, dim = _SHAPES[name]
    norm = Spec(RMSNorm, eps=1e-5, cast="statistics")
    layer = Spec(Chain, steps={"mixer": Spec(Residual, inner=Mamba, norm_in=norm)})
    return Spec(
        CausalLM,
        vocab=256,
        dim=dim,
        layers=(layer,) * depth,
        norm=norm,
        stem=Widen,
        ties=(("head.weight", "embedding.weight"),),
    )
