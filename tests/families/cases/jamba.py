"""Jamba."""

from __future__ import annotations

from transformers import JambaConfig, JambaForCausalLM

from blocks import GatedMLP, Mamba, MoE, RMSNorm, SoftmaxRouter
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "attn_layer_period": 3,
    "attn_layer_offset": 0,
    "mamba_d_state": 8,
    "mamba_dt_rank": 5,
    "rms_norm_eps": 0.05,
    "max_position_embeddings": 64,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "no experts": Variant({"num_experts": 1, "num_experts_per_tok": 1}),
    "experts everywhere": Variant({"expert_layer_period": 1, "expert_layer_offset": 0}),
    "attention alone": Variant({"attn_layer_period": 1, "attn_layer_offset": 0}),
    "biases": Variant({"mamba_proj_bias": True, "mamba_conv_bias": False}),
    "another convolution": Variant({"mamba_d_conv": 3, "mamba_expand": 3}),
    "rank of itself": Variant({"mamba_dt_rank": "auto"}),
}

MUTATIONS = stack_mutations(RMSNorm, GatedMLP) | {
    "fewer chosen": ("plain", change(MoE, top_k=1)),
    "weights renormalised": ("plain", change(SoftmaxRouter, renormalize=True)),
    "no norms inside": ("plain", change(Mamba, norm=None)),
    "activation": ("plain", change(Mamba, act="relu")),
    "biases of the mixer": ("biases", change(Mamba, bias=False)),
    "bias of its convolution": ("plain", change(Mamba, conv_bias=False)),
    "kernel": ("plain", change(Mamba, kernel=3)),
    "rank": ("plain", change(Mamba, rank=4)),
    "size of the state": ("plain", change(Mamba, state_dim=4)),
    "activation of the mlp": ("no experts", change(GatedMLP, act="relu")),
}

# Fields of sizes that weights have, and of which layer has what.
SIZES = frozenset(
    (
        "attn_layer_offset",
        "attn_layer_period",
        "expert_layer_offset",
        "expert_layer_period",
        "mamba_expand",
        "num_experts",
    )
)

# Jamba-v0.1, from the paper's table; its count is 51.6 billion there.
PUBLISHED = {
    "architectures": ["JambaForCausalLM"],
    "attention_dropout": 0.0,
    "attn_layer_offset": 4,
    "attn_layer_period": 8,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "expert_layer_offset": 1,
    "expert_layer_period": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "mamba_conv_bias": True,
    "mamba_d_conv": 4,
    "mamba_d_state": 16,
    "mamba_dt_rank": 256,
    "mamba_expand": 2,
    "mamba_proj_bias": False,
    "max_position_embeddings": 262144,
    "model_type": "jamba",
    "num_attention_heads": 32,
    "num_experts": 16,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_logits_to_keep": 1,
    "output_router_logits": False,
    "pad_token_id": 0,
    "rms_norm_eps": 1e-06,
    "router_aux_loss_coef": 0.001,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.0.dev0",
    "use_cache": True,
    "use_mamba_kernels": True,
    "vocab_size": 65536,
}

CASE = Case(
    config=JambaConfig,
    model=JambaForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={"ai21labs/Jamba-v0.1": (PUBLISHED, 51_570_323_328)},
    fused=True,
    untried=SIZES,
    extra=(),
    tolerance=5e-5,
)
