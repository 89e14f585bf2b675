"""ERNIE 4.5's mixtures."""

from __future__ import annotations

from transformers import Ernie4_5_MoeConfig, Ernie4_5_MoeForCausalLM

from blocks import GatedMLP, LMHead, MoE, RMSNorm, SoftmaxRouter
from tests.families.cases import ernie4_5, llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = llama.BASE | {
    "num_hidden_layers": 3,
    "moe_num_experts": 4,
    "moe_k": 2,
    "moe_intermediate_size": 24,
    "moe_num_shared_experts": 2,
    "tie_word_embeddings": False,
}

VARIANTS = {
    "plain": Variant(),
    "biases": Variant({"use_bias": True}),
    "eight experts": Variant({"moe_num_experts": 8, "moe_k": 3}),
    "none shared": Variant({"moe_num_shared_experts": 0}),
    "experts in every layer": Variant({"moe_layer_start_index": 0}),
    "dense in the end": Variant({"moe_layer_end_index": 1}),
    "every second layer": Variant({"num_hidden_layers": 4, "moe_layer_interval": 2}),
    "tied": Variant({"tie_word_embeddings": True}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "no correction": ("plain", change(SoftmaxRouter, correction=False)),
    "weights not renormalised": ("plain", change(SoftmaxRouter, renormalize=False)),
    "scale of weights": ("plain", change(SoftmaxRouter, scale=1.1)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "no shared expert": ("plain", change(MoE, shared=None)),
    "biases": ("biases", ernie4_5.no_bias),
    "bias of logits": ("biases", change(LMHead, bias=False)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

SIZES = frozenset(
    {
        "intermediate_size",
        "moe_intermediate_size",
        "moe_layer_end_index",
        "moe_layer_interval",
        "moe_layer_start_index",
        "moe_num_experts",
    }
)

PUBLISHED = {
    "baidu/ERNIE-4.5-21B-A3B-PT": (
        {
            "architectures": ["Ernie4_5_MoeForCausalLM"],
            "hidden_act": "silu",
            "hidden_size": 2560,
            "intermediate_size": 12288,
            "max_position_embeddings": 131072,
            "model_type": "ernie4_5_moe",
            "moe_intermediate_size": 1536,
            "moe_k": 6,
            "moe_layer_end_index": 27,
            "moe_layer_interval": 1,
            "moe_layer_start_index": 1,
            "moe_num_experts": 64,
            "moe_num_shared_experts": 2,
            "num_attention_heads": 20,
            "num_hidden_layers": 28,
            "num_key_value_heads": 4,
            "num_nextn_predict_layers": 1,
            "rms_norm_eps": 1e-05,
            "rope_theta": 500000.0,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "use_bias": False,
            "vocab_size": 103424,
        },
        21_825_436_160,  # without the corrections of its routers, which are buffers
    ),
}

CASE = Case(
    config=Ernie4_5_MoeConfig,
    model=Ernie4_5_MoeForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=SIZES,
    fused=True,
    fields={"intermediate_size": "moe_intermediate_size"},
    tied=True,
)
