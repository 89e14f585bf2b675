"""Falcon: RW, 7B, 40B and 180B, Falcon 2."""

from __future__ import annotations

from transformers import FalconConfig, FalconForCausalLM

from blocks import MLP, ALiBi, GQAttention, LayerNorm, RoPE
from tests.families.cases import gpt2, gpt_neox, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "ffn_hidden_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "layer_norm_epsilon": 0.05,
    "rope_theta": 500.0,
    "tie_word_embeddings": False,
    **gpt2.NO_TOKENS,
}
NEW = {"new_decoder_architecture": True, "num_kv_heads": 2}
RW = {"multi_query": False, "parallel_attn": False, "bias": True}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "40B": Variant(NEW),
    "one norm": Variant(NEW | {"num_ln_in_parallel_attn": 1, "bias": True}),
    "RW": Variant(RW | {"alibi": True}),
    "RW with rope": Variant(RW),
    "many heads beside": Variant({"multi_query": False}),
    "multi-query in a row": Variant({"parallel_attn": False}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
    "dynamic": Variant(llama.rope("dynamic", factor=4.0) | {"max_position_embeddings": 16}),
    "relu": Variant({"activation": "relu", "ffn_hidden_size": None}),
}

MUTATIONS = decoder_mutations(LayerNorm, MLP) | {
    "biases of q, k and v": ("RW", change(GQAttention, bias=False)),
    "bias of the output": ("RW", change(GQAttention, out_bias=False)),
    "biases of the mlp": ("RW", change(MLP, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "in a row": ("40B", gpt_neox.sequential),
    "scale of alibi": ("RW", change(ALiBi, scale=1.0)),
    "no alibi": ("RW", change(GQAttention, scores=())),
    "rope": ("RW", change(GQAttention, scores=(), qk=(RoPE,))),
    "factor of linear": ("linear", rescale(factor=3.0)),
    "factor of dynamic": ("dynamic", rescale(factor=3.0)),
}

_FORM = {
    "alibi": False,
    "architectures": ["FalconForCausalLM"],
    "attention_dropout": 0.0,
    "bias": False,
    "bos_token_id": 11,
    "eos_token_id": 11,
    "hidden_dropout": 0.0,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "falcon",
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 65024,
}

PUBLISHED = {
    "tiiuae/falcon-7b": (
        _FORM
        | {
            "apply_residual_connection_post_layernorm": False,
            "hidden_size": 4544,
            "multi_query": True,
            "new_decoder_architecture": False,
            "num_attention_heads": 71,
            "num_hidden_layers": 32,
            "parallel_attn": True,
            "transformers_version": "4.27.4",
        },
        6_921_720_704,
    ),
    "tiiuae/falcon-40b": (
        _FORM
        | {
            "apply_residual_connection_post_layernorm": False,
            "hidden_size": 8192,
            "new_decoder_architecture": True,
            "num_attention_heads": 128,
            "num_hidden_layers": 60,
            "num_kv_heads": 8,
            "parallel_attn": True,
            "transformers_version": "4.26.0",
        },
        41_303_293_952,
    ),
}

CASE = Case(
    config=FalconConfig,
    model=FalconForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset(
        {"multi_query", "num_kv_heads"}  # every tensor's shape tells them
    ),
    attention="sdpa",  # its own eager backend scales ALiBi twice
    fields={
        "intermediate_size": "ffn_hidden_size",
        "hidden_act": "activation",
        "num_key_value_heads": None,
        "head_dim": None,
    },
    extra=("transformer.h.{i}.self_attention.rotary_emb.inv_freq",),
    missing_prefix="transformer.",
    tied=True,
)
