"""RecurrentGemma."""

from __future__ import annotations

from typing import Any

from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

import blocks
from blocks import (
    RGLRU,
    Causal,
    CausalConv,
    GatedMixer,
    GatedMLP,
    GQAttention,
    LMHead,
    RMSNorm,
    TokenEmbedding,
    Window,
)
from tests.families.reference import Case, Variant, change, decoder_mutations, shallow

ROPE = {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}

# A width whose root no bfloat16 holds, and a cap so low that logits bend.
BASE = {
    "vocab_size": 97,
    "hidden_size": 40,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "lru_width": 50,
    "attention_window_size": 7,
    "logits_soft_cap": 3.0,
    "rms_norm_eps": 0.05,
    "rope_parameters": ROPE,
    "tie_word_embeddings": False,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "biases": Variant({"attention_bias": True}),
    "attention first": Variant({"block_types": ["attention", "recurrent"]}),
    "attention alone": Variant({"block_types": ["attention"]}),
    "five layers": Variant({"num_hidden_layers": 5, "num_key_value_heads": 1}),
    "no widening": Variant({"lru_width": None, "conv1d_width": 3}),
    "silu": Variant({"hidden_activation": "silu"}),
    "all channels turn": Variant({"rope_parameters": ROPE | {"partial_rotary_factor": 1.0}}),
}


def other_order(spec: Any) -> Any:
    first, *rest = spec.keywords["layers"]
    return blocks.replace(spec, layers=(*rest, first))


MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "offset of norms": ("plain", change(RMSNorm, offset=0.0)),
    "scale of embeddings as it was before bfloat16": (
        "plain",
        change(TokenEmbedding, scale=40**0.5),
    ),
    "cap of logits": ("plain", change(LMHead, cap=4.0)),
    "no cap of logits": ("plain", change(LMHead, cap=None)),
    "window + 1": ("plain", change(GQAttention, mask=Window(8))),
    "window - 1": ("plain", change(GQAttention, mask=Window(6))),
    "no window": ("plain", change(GQAttention, mask=Causal())),
    "order of layers": ("plain", other_order),
    "depth": ("attention first", shallow),
    "activation of the gate": ("plain", change(GatedMixer, act="relu")),
    "biases of the recurrent block": ("plain", change(GatedMixer, bias=False)),
    "width of the recurrent block": ("plain", change(GatedMixer, inner=40)),
    "bias of the convolution": ("plain", change(CausalConv, bias=False)),
    "kernel of the convolution": ("plain", change(CausalConv, kernel=3)),
    "heads of the recurrence": ("plain", change(RGLRU, heads=2)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("plain", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("plain", change(GatedMLP, bias=False)),
}

# Both widths have weights of the same fields.
SIZES = {
    "google/recurrentgemma-2b": (2560, 26, 10, 15360, 2_682_862_080),
    "google/recurrentgemma-9b": (4096, 38, 16, 24576, 8_579_977_216),
}


def published(dim: int, depth: int, heads: int, hidden: int) -> dict[str, Any]:
    return {
        "_block_types": ["recurrent", "recurrent", "attention"],
        "architectures": ["RecurrentGemmaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attention_window_size": 2048,
        "bos_token_id": 2,
        "conv1d_width": 4,
        "embeddings_scale_by_sqrt_dim": True,
        "eos_token_id": 1,
        "final_w_init_variance_scale": 2.0 / depth,
        "head_dim": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": dim,
        "intermediate_size": hidden,
        "logits_soft_cap": 30.0,
        "lru_width": dim,
        "model_type": "recurrent_gemma",
        "num_attention_heads": heads,
        "num_hidden_layers": depth,
        "num_key_value_heads": 1,
        "pad_token_id": 0,
        "partial_rotary_factor": 0.5,
        "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0,
        "torch_dtype": "float32",
        "transformers_version": "4.40.0.dev0",
        "use_cache": True,
        "vocab_size": 256000,
        "w_init_variance_scale": 0.01,
    }


CASE = Case(
    config=RecurrentGemmaConfig,
    model=RecurrentGemmaForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={repo: (published(*sizes), held) for repo, (*sizes, held) in SIZES.items()},
    fields={
        "hidden_act": "hidden_activation",
        "max_position_embeddings": None,
        "sliding_window": "attention_window_size",
    },
    extra=(),
    tied=True,
    tolerance=5e-5,
)
