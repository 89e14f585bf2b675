"""DeepSeek-V3 and R1."""

from __future__ import annotations

from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from blocks import SigmoidRouter
from tests.families.cases import deepseek_v2, llama
from tests.families.reference import Case, Variant, change

BASE = deepseek_v2.BASE | {"n_shared_experts": 1, "n_group": 4, "topk_group": 2}

VARIANTS = {
    "plain": Variant(),
    "no query latent": Variant({"q_lora_rank": None}),
    "biases": Variant({"attention_bias": True}),
    "one group": Variant({"n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.0}),
    "weights as they are": Variant({"norm_topk_prob": False}),
    "halves": Variant({"rope_interleave": False}),
    "experts in every layer": Variant({"first_k_dense_replace": 0, "n_shared_experts": 2}),
    "two dense layers": Variant({"first_k_dense_replace": 2}),
    "tied": Variant({"tie_word_embeddings": True, "num_hidden_layers": 2}),
    "linear": Variant(llama.rope("linear", factor=4.0)),
    "yarn": Variant({"rope_parameters": deepseek_v2.YARN}),
    "yarn mscale": deepseek_v2.VARIANTS["yarn mscale"],
    "yarn mscale of scores": deepseek_v2.VARIANTS["yarn mscale of scores"],
}


MUTATIONS = deepseek_v2.latent_mutations(SigmoidRouter) | {
    "no groups": ("plain", change(SigmoidRouter, groups=1, kept_groups=1)),
    "other groups": ("plain", change(SigmoidRouter, groups=2, kept_groups=1)),
    "more groups": ("plain", change(SigmoidRouter, kept_groups=3)),
    "no scale": ("plain", change(SigmoidRouter, scale=1.0)),
}

PUBLISHED = {
    "deepseek-ai/DeepSeek-V3": (
        deepseek_v2.published(
            architectures=["DeepseekV3ForCausalLM"],
            auto_map={"AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM"},
            bos_token_id=0,
            eos_token_id=1,
            ep_size=1,
            first_k_dense_replace=3,
            hidden_size=7168,
            intermediate_size=18432,
            model_type="deepseek_v3",
            moe_intermediate_size=2048,
            n_group=8,
            n_routed_experts=256,
            n_shared_experts=1,
            norm_topk_prob=True,
            num_attention_heads=128,
            num_experts_per_tok=8,
            num_hidden_layers=61,
            num_key_value_heads=128,
            num_nextn_predict_layers=1,
            q_lora_rank=1536,
            quantization_config={
                "activation_scheme": "dynamic",
                "fmt": "e4m3",
                "quant_method": "fp8",
                "weight_block_size": [128, 128],
            },
            rope_scaling=deepseek_v2.yarn(1.0),
            routed_scaling_factor=2.5,
            scoring_func="sigmoid",
            topk_group=4,
            topk_method="noaux_tc",
            transformers_version="4.33.1",
            vocab_size=129280,
        ),
        671_026_404_352,  # without the corrections of its routers, which are buffers
    ),
}

CASE = Case(
    config=DeepseekV3Config,
    model=DeepseekV3ForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=deepseek_v2.SIZES | {"num_key_value_heads"},
    fused=True,
    fields=deepseek_v2.FIELDS,
)
