"""Parakeet with a CTC head."""

from __future__ import annotations

from typing import Any

from transformers import ParakeetCTCConfig, ParakeetForCTC

from blocks import (
    MLP,
    BatchNorm,
    Causal,
    ConvModule,
    LayerNorm,
    RelativeAttention,
    Subsampling,
)
from tests.families.reference import Case, Variant, change, shallow

ENCODER = {
    "model_type": "parakeet_encoder",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 56,
    "num_mel_bins": 16,
    "conv_kernel_size": 5,
    "subsampling_conv_channels": 6,
    "subsampling_factor": 4,
}
BASE = {"vocab_size": 37, "pad_token_id": 36, "encoder_config": ENCODER}

VARIANTS = {
    "plain": Variant(),
    "not scaled": Variant({"scale_input": False}),
    "no biases": Variant({"attention_bias": False, "convolution_bias": False}),
    "gelu": Variant({"hidden_act": "gelu"}),
    "three images": Variant({"subsampling_factor": 8}),
    "wide kernels": Variant({"subsampling_conv_kernel_size": 5}),
}

MUTATIONS = {
    "activation": ("plain", change(MLP, act="relu")),
    "activation of the module": ("plain", change(ConvModule, act="relu")),
    "biases of the module": ("plain", change(ConvModule, bias=False)),
    "biases of attention": ("plain", change(RelativeAttention, bias=False)),
    "biases of the mlp": ("plain", change(MLP, bias=False)),
    "scale": ("plain", change(Subsampling, scale=1.0)),
    "eps": ("plain", change(LayerNorm, eps=0.3)),
    "eps of the module": ("plain", change(BatchNorm, eps=0.3)),
    "layout of positions": ("plain", change(RelativeAttention, layout="halves")),
    "distances": ("plain", change(RelativeAttention, clamp=3)),
    "mask": ("plain", change(RelativeAttention, mask=Causal())),
    "depth": ("plain", shallow),
}


def published(layers: int) -> dict[str, Any]:
    encoder = {
        "activation_dropout": 0.1,
        "attention_bias": True,
        "attention_dropout": 0.1,
        "conv_kernel_size": 9,
        "convolution_bias": True,
        "dropout": 0.1,
        "dropout_positions": 0.0,
        "hidden_act": "silu",
        "hidden_size": 1024,
        "initializer_range": 0.02,
        "intermediate_size": 4096,
        "layerdrop": 0.1,
        "max_position_embeddings": 5000,
        "model_type": "parakeet_encoder",
        "num_attention_heads": 8,
        "num_hidden_layers": layers,
        "num_key_value_heads": 8,
        "num_mel_bins": 80,
        "scale_input": True,
        "subsampling_conv_channels": 256,
        "subsampling_conv_kernel_size": 3,
        "subsampling_conv_stride": 2,
        "subsampling_factor": 8,
    }
    return {
        "architectures": ["ParakeetForCTC"],
        "ctc_loss_reduction": "mean",
        "ctc_zero_infinity": True,
        "encoder_config": encoder,
        "initializer_range": 0.02,
        "model_type": "parakeet_ctc",
        "pad_token_id": 1024,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.0.dev0",
        "vocab_size": 1025,
    }


PUBLISHED = {
    "nvidia/parakeet-ctc-0.6b": (published(24), 608_799_745),
    "nvidia/parakeet-ctc-1.1b": (published(42), 1_062_540_289),
}


def older(data: Any, kind: str = "rope_type") -> dict[str, Any]:
    """There is no older form."""
    return dict(data)


CASE = Case(
    config=ParakeetCTCConfig,
    model=ParakeetForCTC,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset(
        """activation_dropout conv_kernel_size model_type num_mel_bins vocab_size
        subsampling_conv_channels
        subsampling_conv_kernel_size subsampling_conv_stride subsampling_factor""".split()
    ),
    fields=dict.fromkeys(
        ("num_key_value_heads", "head_dim", "max_position_embeddings", "vocab_size")
    ),
    implied=frozenset({"vocab_size"}),  # beside the encoder's fields
    extra=(),
    older=older,
    inside="encoder_config",
    kind="hearer",
    channels=16,
)
