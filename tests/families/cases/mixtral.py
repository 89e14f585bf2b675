"""Mixtral 8x7B and 8x22B."""

from __future__ import annotations

from transformers import MixtralConfig, MixtralForCausalLM

from blocks import GatedMLP, GQAttention, MoE, RMSNorm, SoftmaxRouter, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {"num_local_experts": 4}

VARIANTS = {
    "plain": Variant(),
    "eight experts": Variant({"num_local_experts": 8, "num_experts_per_tok": 3}),
    "two experts": Variant({"num_local_experts": 2, "num_experts_per_tok": 1}),
    "all experts": Variant({"num_local_experts": 3, "num_experts_per_tok": 3}),
    "window": Variant({"sliding_window": 7}),
    "tied": Variant({"tie_word_embeddings": True}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "window + 1": ("window", change(GQAttention, mask=Window(8))),
    "window - 1": ("window", change(GQAttention, mask=Window(6))),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "more chosen": ("plain", change(MoE, top_k=3)),
    "weights not renormalised": ("plain", change(SoftmaxRouter, renormalize=False)),
    "scale of weights": ("plain", change(SoftmaxRouter, scale=1.1)),
    "factor of linear": ("linear", rescale(factor=3.0)),
    "groups": ("eight experts", change(SoftmaxRouter, groups=2, kept_groups=1)),
}


def _published(**options: object) -> dict[str, object]:
    return {
        "architectures": ["MixtralForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "model_type": "mixtral",
        "num_experts_per_tok": 2,
        "num_key_value_heads": 8,
        "num_local_experts": 8,
        "output_router_logits": False,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": 32000,
        **options,
    }


PUBLISHED = {
    "mistralai/Mixtral-8x7B-v0.1": (
        _published(
            hidden_size=4096,
            intermediate_size=14336,
            max_position_embeddings=32768,
            num_attention_heads=32,
            num_hidden_layers=32,
            router_aux_loss_coef=0.02,
            transformers_version="4.36.0.dev0",
            use_cache=True,
        ),
        46_702_792_704,
    ),
    "mistralai/Mixtral-8x22B-v0.1": (
        _published(
            hidden_size=6144,
            intermediate_size=16384,
            max_position_embeddings=65536,
            num_attention_heads=48,
            num_hidden_layers=56,
            router_aux_loss_coef=0.001,
            router_jitter_noise=0.0,
            transformers_version="4.38.0",
            use_cache=False,
        ),
        140_620_634_112,
    ),
}

CASE = Case(
    config=MixtralConfig,
    model=MixtralForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    real={"mixtral-8x22b": 140_620_634_112},
    fused=True,
)
