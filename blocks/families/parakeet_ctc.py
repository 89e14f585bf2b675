"""Parakeet: a Fast Conformer over log-mel frames with a CTC head.

Rekesh et al., "Fast Conformer", 2023, arXiv:2305.05084.
"""

from __future__ import annotations

from math import log2
from typing import Any

from blocks import MLP, FrameEncoder, Full, LMHead, RelativeAttention, Spec, Subsampling
from blocks.families import _conformer as conformer
from blocks.families import _parakeet as parakeet
from blocks.families._dialects import count, read_activation, read_noise
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(whole: Config) -> Spec:
    whole.take("ctc_loss_reduction", str, "mean")
    whole.take("ctc_zero_infinity", bool, True)
    c = whole.inside("encoder_config", "parakeet_encoder")
    for noise in ("dropout", "dropout_positions", "layerdrop"):
        read_noise(c, noise)
    c.take("max_position_embeddings", int, 5000)  # of a table that is computed
    dim, heads = c.take("hidden_size", int), c.take("num_attention_heads", int)
    if c.take("num_key_value_heads", int, heads) != heads:
        raise c.error("num_key_value_heads", f"is not the {heads} of num_attention_heads")
    bias, act = c.take("attention_bias", bool, True), read_activation(c)
    rates = [c.take(f"{name}_dropout", float, 0.1) for name in ("activation", "attention")]
    hidden = c.take("intermediate_size", int)
    mlp = Spec(MLP, hidden=hidden, act=act, bias=bias, dropout=rates[0])
    width = c.take("head_dim", int, dim // heads)
    how: dict[str, Any] = {"heads": heads, "head_dim": width, "bias": bias, "dropout": rates[1]}
    attention = Spec(RelativeAttention, layout="interleaved", mask=Full(), **how)
    kernel = c.take("conv_kernel_size", int, 9)
    module = conformer.conv_module(kernel, act, bias=c.take("convolution_bias", bool, True))
    factor = c.take("subsampling_factor", int, 8, low=2)
    image = Spec(
        Subsampling,
        hidden=c.take("subsampling_conv_channels", int, 256),
        kernel=c.take("subsampling_conv_kernel_size", int, 3),
        stride=c.take("subsampling_conv_stride", int, 2),
        depth=int(log2(factor)),
        scale=dim**0.5 if c.take("scale_input", bool, True) else 1.0,
    )
    layers = (conformer.conformer(attention, mlp, module),) * count(c, "num_hidden_layers")
    sizes = {"channels": c.take("num_mel_bins", int, 80), "vocab": whole.take("vocab_size", int)}
    head = Spec(LMHead, bias=True)
    return Spec(FrameEncoder, **sizes, dim=dim, layers=layers, embedding=image, head=head)


FAMILY = Family("parakeet_ctc", ("ParakeetForCTC",), spec, parakeet.config, parakeet.keys, ties=())
