"""gpt-oss 20b and 120b."""

from __future__ import annotations

from typing import Any

from transformers import GptOssConfig, GptOssForCausalLM

from blocks import Causal, ClampedGLU, GQAttention, MoE, RMSNorm, Spec, TopKRouter, Window
from tests.families.ageing import old_config
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

YARN = llama.YARN | {"truncate": False, "beta_fast": 4.0, "beta_slow": 0.5}
# A narrow bound, so that much is clamped.
BASE = {name: value for name, value in llama.BASE.items() if name != "rope_theta"} | {
    "head_dim": 8,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 7,
    "swiglu_limit": 0.7,
    "rope_parameters": YARN,
}


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """Where nothing stretches the angles this must be said: null means YaRN."""
    old = old_config(data, kind)
    return old | {"rope_scaling": old["rope_scaling"] or {kind: "default"}}


VARIANTS = {
    "plain": Variant(),
    "no biases": Variant({"attention_bias": False}),
    "three layers, eight experts": Variant(
        {"num_hidden_layers": 3, "num_local_experts": 8, "num_experts_per_tok": 3}
    ),
    "the other layers": Variant({"layer_types": ["full_attention", "sliding_attention"]}),
    "no window": Variant({"layer_types": ["full_attention"] * 2}),
    "wide heads": Variant({"head_dim": 10, "num_key_value_heads": 1}),
    "wide bound": Variant({"swiglu_limit": 7.0, "swiglu_alpha": 1.1}),
    "tied": Variant({"tie_word_embeddings": True}),
    "no yarn": Variant(llama.rope("default")),
    "truncated yarn": Variant({"rope_parameters": YARN | {"truncate": True}}),
}

MUTATIONS = decoder_mutations(RMSNorm, ClampedGLU) | {
    "activation": ("plain", change(ClampedGLU, alpha=1.0)),
    "limit": ("plain", change(ClampedGLU, limit=0.8)),
    "no limit": ("plain", change(ClampedGLU, limit=7.0)),
    "no sinks": ("plain", change(GQAttention, sinks=False)),
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "bias of the output": ("plain", change(GQAttention, out_bias=False)),
    "biases of experts": ("plain", change(ClampedGLU, bias=False)),
    "bias of the router": ("plain", change(TopKRouter, bias=False)),
    "fewer chosen": ("plain", change(MoE, top_k=1)),
    "another router": ("plain", change(MoE, router=Spec(TopKRouter))),
    "window + 1": ("plain", change("layers.0.attention", mask=Window(8))),
    "window - 1": ("plain", change("layers.0.attention", mask=Window(6))),
    "no window": ("plain", change("layers.0.attention", mask=Causal())),
    "window in both": ("plain", change(GQAttention, mask=Window(7))),
    "factor of yarn": ("plain", rescale(factor=3.0)),
    "length of yarn": ("plain", rescale(trained=32)),
    "truncation of yarn": ("plain", rescale(truncate=True)),
}

PUBLISHED = {
    "openai/gpt-oss-20b": (
        {
            "architectures": ["GptOssForCausalLM"],
            "attention_bias": True,
            "attention_dropout": 0.0,
            "eos_token_id": 200002,
            "experts_per_token": 4,
            "head_dim": 64,
            "hidden_act": "silu",
            "hidden_size": 2880,
            "initial_context_length": 4096,
            "initializer_range": 0.02,
            "intermediate_size": 2880,
            "layer_types": ["sliding_attention", "full_attention"] * 12,
            "max_position_embeddings": 131072,
            "model_type": "gpt_oss",
            "num_attention_heads": 64,
            "num_experts_per_tok": 4,
            "num_hidden_layers": 24,
            "num_key_value_heads": 8,
            "num_local_experts": 32,
            "output_router_logits": False,
            "pad_token_id": 199999,
            "quantization_config": {
                "modules_to_not_convert": [
                    "model.layers.*.self_attn",
                    "model.layers.*.mlp.router",
                    "model.embed_tokens",
                    "lm_head",
                ],
                "quant_method": "mxfp4",
            },
            "rms_norm_eps": 1e-05,
            "rope_scaling": {
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "factor": 32.0,
                "original_max_position_embeddings": 4096,
                "rope_type": "yarn",
                "truncate": False,
            },
            "rope_theta": 150000,
            "router_aux_loss_coef": 0.9,
            "sliding_window": 128,
            "swiglu_limit": 7.0,
            "tie_word_embeddings": False,
            "transformers_version": "4.55.0.dev0",
            "use_cache": True,
            "vocab_size": 201088,
        },
        20_914_757_184,
    ),
}

CASE = Case(
    config=GptOssConfig,
    model=GptOssForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    extra=(),
    older=older,
)
