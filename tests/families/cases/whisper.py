"""Whisper."""

from __future__ import annotations

from typing import Any

from transformers import WhisperConfig, WhisperForConditionalGeneration

from blocks import (
    MLP,
    ConvStem,
    CrossAttention,
    Full,
    GQAttention,
    LayerNorm,
    replace,
)
from tests.families.reference import Case, Variant, change

BASE = {
    "vocab_size": 97,
    "d_model": 32,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 56,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 48,
    "num_mel_bins": 12,
    "max_source_positions": 20,
    "max_target_positions": 30,
    "tie_word_embeddings": False,
    "pad_token_id": 3,
    "bos_token_id": 3,
    "eos_token_id": 3,
    "decoder_start_token_id": 4,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "relu": Variant({"activation_function": "relu"}),
    "scaled, as nobody does": Variant({"scale_embedding": True}),
    "three heads": Variant(
        {"d_model": 36, "encoder_attention_heads": 3, "decoder_attention_heads": 3}
    ),
}


def shallow(half: str) -> Any:
    def after(spec: Any) -> Any:
        stack = spec.keywords[half]
        return replace(spec, **{half: replace(stack, layers=stack.keywords["layers"][:-1])})

    return after


def other(half: str, **options: Any) -> Any:
    return lambda spec: replace(spec, **{half: replace(spec.keywords[half], **options)})


MUTATIONS = {
    "scale of scores": ("plain", change(GQAttention, scale=0.3)),
    "scale of the memory's scores": ("plain", change(CrossAttention, scale=0.3)),
    "the target's mask": ("plain", change("decoder.layers.*.attention", mask=Full())),
    "bias of keys": ("plain", change(GQAttention, bias=False)),
    "biases of the memory": ("plain", change(CrossAttention, bias=False)),
    "bias of outputs": ("plain", change(CrossAttention, out_bias=False)),
    "eps": ("plain", change(LayerNorm, eps=0.06)),
    "activation": ("plain", change(MLP, act="relu2")),
    "activation of the stem": ("plain", change(ConvStem, act="relu")),
    "padding of the stem": ("plain", change(ConvStem, padded=False)),
    "place of the first token": ("plain", change("decoder.stem", offset=1)),
    "last norm of the encoder": ("plain", other("encoder", norm=None)),
    "last norm of the decoder": ("plain", other("decoder", norm=None)),
    "depth of the encoder": ("plain", shallow("encoder")),
    "depth of the decoder": ("plain", shallow("decoder")),
}

_FORM = {
    "activation_dropout": 0.0,
    "activation_function": "gelu",
    "architectures": ["WhisperForConditionalGeneration"],
    "attention_dropout": 0.0,
    "begin_suppress_tokens": [220, 50257],
    "bos_token_id": 50257,
    "decoder_layerdrop": 0.0,
    "decoder_start_token_id": 50258,
    "dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "eos_token_id": 50257,
    "forced_decoder_ids": [[1, 50259], [2, 50359], [3, 50363]],
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "max_length": 448,
    "max_source_positions": 1500,
    "max_target_positions": 448,
    "model_type": "whisper",
    "num_mel_bins": 80,
    "pad_token_id": 50257,
    "scale_embedding": False,
    "suppress_tokens": [1, 2, 7, 8, 9, 10, 14, 25, 50358, 50359, 50360, 50361, 50362],
    "torch_dtype": "float32",
    "transformers_version": "4.27.0.dev0",
    "use_cache": True,
    "vocab_size": 51865,
}


def published(dim: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    both = {f"{half}_layers": layers for half in ("encoder", "decoder")}
    both |= {f"{half}_attention_heads": heads for half in ("encoder", "decoder")}
    both |= {f"{half}_ffn_dim": 4 * dim for half in ("encoder", "decoder")}
    return _FORM | {"d_model": dim, "num_hidden_layers": layers} | both | more


PUBLISHED = {
    "openai/whisper-tiny": (published(384, 4, 6), 37_760_640),
    "openai/whisper-large-v3": (
        published(1280, 32, 20, num_mel_bins=128, vocab_size=51866),
        1_543_490_560,
    ),
}

CASE = Case(
    config=WhisperConfig,
    model=WhisperForConditionalGeneration,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset(
        """decoder_attention_heads decoder_ffn_dim dropout is_encoder_decoder max_source_positions
        num_mel_bins""".split()
    ),
    fields={
        "hidden_size": "d_model",
        "num_hidden_layers": "encoder_layers",
        "num_attention_heads": "encoder_attention_heads",
        "intermediate_size": "encoder_ffn_dim",
        "hidden_act": "activation_function",
        "max_position_embeddings": "max_target_positions",
        "num_key_value_heads": None,
        "head_dim": None,
    },
    extra=(),
    missing_prefix="model.",
    tied=True,
    kind="transcriber",
    table="decoder.embedding.weight",
    channels=12,
    hears=lambda frames: frames.mT,
)
