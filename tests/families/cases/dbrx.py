"""DBRX."""

from __future__ import annotations

from typing import Any

from transformers import DbrxConfig, DbrxForCausalLM

from blocks import Clip, GatedMLP, GQAttention, LayerNorm, MoE, SoftmaxRouter
from tests.families.ageing import old_config
from tests.families.cases import gpt2, llama, mpt
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

# Without a bound the reference fails.
ATTENTION = {"kv_n_heads": 2, "rope_theta": 10_000.0, "clip_qkv": 1.5}
EXPERTS = {"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2}
AS_THEY_ARE = {"moe_normalize_expert_weights": None}
BASE = {
    "vocab_size": 97,
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 4,
    "max_seq_len": 64,
    "attn_config": ATTENTION,
    "ffn_config": EXPERTS,
    **gpt2.NO_TOKENS,
}


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """Only attn_config said it."""
    old = old_config(data, kind)
    del old["rope_theta"]
    return old


VARIANTS = {
    "plain": Variant(),
    "another theta": Variant(
        {"rope_theta": 500.0, "attn_config": ATTENTION | {"rope_theta": 500.0}}
    ),
    "narrow": Variant({"attn_config": ATTENTION | {"clip_qkv": 0.7}}),
    "one key head": Variant({"attn_config": ATTENTION | {"kv_n_heads": 1}}),
    "eight experts": Variant({"ffn_config": EXPERTS | {"moe_num_experts": 8, "moe_top_k": 3}}),
    "weights as they are": Variant({"ffn_config": EXPERTS | AS_THEY_ARE}),
    "gelu": Variant({"ffn_config": EXPERTS | {"ffn_act_fn": {"name": "gelu"}}}),
    "linear": Variant(llama.rope("linear", factor=4.0, rope_theta=10_000.0)),
}

MUTATIONS = decoder_mutations(LayerNorm, GatedMLP) | {
    "cap": ("narrow", change(Clip, cap=0.8)),
    "cap of values": ("narrow", change(GQAttention, values=None)),
    "fewer chosen": ("eight experts", change(MoE, top_k=2)),
    "weights not renormalised": ("plain", change(SoftmaxRouter, renormalize=False)),
    "weights renormalised": ("weights as they are", change(SoftmaxRouter, renormalize=True)),
    "factor of linear": ("linear", rescale(factor=3.0)),
}

PUBLISHED = {
    "databricks/dbrx-base": (
        {
            "architectures": ["DbrxForCausalLM"],
            "attn_config": {
                "clip_qkv": 8,
                "kv_n_heads": 8,
                "model_type": "",
                "rope_theta": 500000,
            },
            "d_model": 6144,
            "emb_pdrop": 0.0,
            "ffn_config": {
                "ffn_hidden_size": 10752,
                "model_type": "",
                "moe_jitter_eps": 0.01,
                "moe_loss_weight": 0.05,
                "moe_num_experts": 16,
                "moe_top_k": 4,
            },
            "initializer_range": 0.02,
            "max_seq_len": 32768,
            "model_type": "dbrx",
            "n_heads": 48,
            "n_layers": 40,
            "output_router_logits": False,
            "resid_pdrop": 0.0,
            "router_aux_loss_coef": 0.05,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.38.2",
            "use_cache": True,
            "vocab_size": 100352,
        },
        131_596_523_520,
    ),
}

CASE = Case(
    config=DbrxConfig,
    model=DbrxForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields=mpt.FIELDS,
    extra=(),
    older=older,
)
