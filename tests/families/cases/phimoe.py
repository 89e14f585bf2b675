"""Phi-3.5-MoE."""

from __future__ import annotations

from transformers import PhimoeConfig, PhimoeForCausalLM

from blocks import GatedMLP, GQAttention, LayerNorm, LMHead, SparseMixerRouter, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

# A wide margin, so that several experts are near the best one.
BASE = llama.BASE | {"num_local_experts": 4, "router_jitter_noise": 0.3}

# The reference takes the short factors for every length, so it can be asked below the switch alone.
LONGROPE = {
    "rope_parameters": llama.LONGROPE
    | {"original_max_position_embeddings": 48, "short_mscale": 1.2, "long_mscale": 1.4}
}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"attention_bias": True, "lm_head_bias": True}),
    "window": Variant({"sliding_window": 7}),
    "eight experts": Variant({"num_local_experts": 8, "router_jitter_noise": 0.01}),
    "two experts": Variant({"num_local_experts": 2}),
    "tied": Variant({"tie_word_embeddings": True}),
    "one kv head": Variant({"num_key_value_heads": 1}),
    "longrope": Variant(LONGROPE | {"sliding_window": 50}),
}

MUTATIONS = decoder_mutations(LayerNorm, GatedMLP) | {
    "window + 1": ("window", change(GQAttention, mask=Window(8))),
    "window - 1": ("window", change(GQAttention, mask=Window(6))),
    "jitter": ("plain", change(SparseMixerRouter, jitter=0.1)),
    "biases of q, k and v": ("biases", change(GQAttention, bias=False)),
    "bias of the output": ("biases", change(GQAttention, out_bias=False)),
    "bias of the head": ("biases", change(LMHead, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "short of longrope": ("longrope", rescale(short=(1.0, 1.1, 1.2, 1.5))),
    "short magnitude of longrope": ("longrope", rescale(short_magnitude=1.0)),
    "length of longrope": ("longrope", rescale(trained=16)),
}

PUBLISHED = {
    "microsoft/Phi-3.5-MoE-instruct": (
        {
            "architectures": ["PhiMoEForCausalLM"],
            "attention_bias": True,
            "attention_dropout": 0.0,
            "auto_map": {"AutoModelForCausalLM": "modeling_phimoe.PhiMoEForCausalLM"},
            "bos_token_id": 1,
            "eos_token_id": 32000,
            "hidden_act": "silu",
            "hidden_dropout": 0.0,
            "hidden_size": 4096,
            "initializer_range": 0.02,
            "input_jitter_noise": 0.01,
            "intermediate_size": 6400,
            "lm_head_bias": True,
            "max_position_embeddings": 131072,
            "model_type": "phimoe",
            "num_attention_heads": 32,
            "num_experts_per_tok": 2,
            "num_hidden_layers": 32,
            "num_key_value_heads": 8,
            "num_local_experts": 16,
            "original_max_position_embeddings": 4096,
            "output_router_logits": False,
            "rms_norm_eps": 1e-05,
            "rope_scaling": {
                "long_factor": [1.5] * 64,
                "long_mscale": 1.243163121016122,
                "original_max_position_embeddings": 4096,
                "short_factor": [1.0] * 64,
                "short_mscale": 1.243163121016122,
                "type": "longrope",
            },
            "rope_theta": 10000.0,
            "router_aux_loss_coef": 0.0,
            "router_jitter_noise": 0.01,
            "sliding_window": 131072,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.43.3",
            "use_cache": True,
            "vocab_size": 32064,
        },
        41_873_153_344,
    ),
}

CASE = Case(
    config=PhimoeConfig,
    model=PhimoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"num_experts_per_tok"}),
    fused=True,
)
