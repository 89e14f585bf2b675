"""Hunyuan-A13B."""

from __future__ import annotations

from transformers import HunYuanMoEV1Config, HunYuanMoEV1ForCausalLM

from blocks import MoE, SoftmaxRouter
from tests.families.cases import hunyuan_v1_dense
from tests.families.reference import Case, Variant, change

VARIANTS = hunyuan_v1_dense.VARIANTS | {
    "eight experts": Variant({"num_experts": 8, "moe_topk": 3}),
    "more in the second layer": Variant({"moe_topk": [1, 3]}),
}

MUTATIONS = hunyuan_v1_dense.MUTATIONS | {
    "weights not renormalised": ("plain", change(SoftmaxRouter, renormalize=False)),
    "scale of weights": ("plain", change(SoftmaxRouter, scale=1.1)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "fewer in the second layer": ("more in the second layer", change("layers.1.mlp", top_k=1)),
    "no shared expert": ("plain", change(MoE, shared=None)),
}

PUBLISHED = {
    "tencent/Hunyuan-A13B-Instruct": (
        {
            "architectures": ["HunYuanMoEV1ForCausalLM"],
            "attention_head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 4096,
            "intermediate_size": 3072,
            "max_position_embeddings": 32768,
            "model_type": "hunyuan_v1_moe",
            "moe_intermediate_size": [3072] * 32,
            "moe_layer_num_skipped": 0,
            "moe_topk": [8] * 32,
            "num_attention_heads": 32,
            "num_experts": 64,
            "num_hidden_layers": 32,
            "num_key_value_heads": 8,
            "num_shared_expert": [1] * 32,
            "rms_norm_eps": 1e-05,
            "rope_scaling": {"alpha": 1000.0, "factor": 1.0, "type": "dynamic"},
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "use_mixed_mlp_moe": True,
            "use_qk_norm": True,
            "vocab_size": 128167,
        },
        80_393_183_232,
    ),
}

CASE = Case(
    config=HunYuanMoEV1Config,
    model=HunYuanMoEV1ForCausalLM,
    base=hunyuan_v1_dense.CASE.base | {"num_experts": 4, "moe_topk": 2},
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"num_experts"}),
    fused=True,
)
