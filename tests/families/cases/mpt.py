"""MPT."""

from __future__ import annotations

from transformers import MptConfig, MptForCausalLM

from blocks import MLP, ALiBi, Clip, GQAttention, LayerNorm
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {
    "vocab_size": 97,
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 4,
    "max_seq_len": 64,
    "layer_norm_epsilon": 0.05,
    "tie_word_embeddings": False,
    **gpt2.NO_TOKENS,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "six heads": Variant({"d_model": 36, "n_heads": 6}),
    "clipped": Variant({"attn_config": {"clip_qkv": 0.7}}),
    "scale": Variant({"attn_config": {"softmax_scale": 0.2}}),
}

MUTATIONS = stack_mutations(LayerNorm, MLP) | {
    "no alibi": ("plain", change(GQAttention, scores=())),
    "slopes": ("plain", change(ALiBi, max_bias=7.0)),
    "cap": ("clipped", change(Clip, cap=0.8)),
    "cap of values": ("clipped", change(GQAttention, values=None)),
    "attention": ("clipped", change(GQAttention, values=None, qk=())),
}

PUBLISHED = {
    "mosaicml/mpt-7b": (
        {
            "architectures": ["MPTForCausalLM"],
            "attn_config": {
                "alibi": True,
                "alibi_bias_max": 8,
                "attn_impl": "torch",
                "attn_pdrop": 0,
                "attn_type": "multihead_attention",
                "attn_uses_sequence_id": False,
                "clip_qkv": None,
                "prefix_lm": False,
                "qk_ln": False,
                "softmax_scale": None,
            },
            "auto_map": {"AutoModelForCausalLM": "modeling_mpt.MPTForCausalLM"},
            "d_model": 4096,
            "emb_pdrop": 0,
            "embedding_fraction": 1.0,
            "expansion_ratio": 4,
            "init_config": {"init_std": None, "name": "kaiming_normal_"},
            "init_device": "cpu",
            "learned_pos_emb": True,
            "logit_scale": None,
            "max_seq_len": 2048,
            "model_type": "mpt",
            "n_heads": 32,
            "n_layers": 32,
            "no_bias": True,
            "norm_type": "low_precision_layernorm",
            "resid_pdrop": 0,
            "tokenizer_name": "EleutherAI/gpt-neox-20b",
            "torch_dtype": "bfloat16",
            "transformers_version": "4.28.1",
            "use_cache": False,
            "verbose": 0,
            "vocab_size": 50432,
        },
        6_649_286_656,
    ),
}

FIELDS = {
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "max_position_embeddings": "max_seq_len",
    "intermediate_size": None,
    "hidden_act": None,
    "attention_dropout": None,
    "num_key_value_heads": None,
    "head_dim": None,
}

CASE = Case(
    config=MptConfig,
    model=MptForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields=FIELDS,
    extra=(),
    missing_prefix="transformer.",
    tied=True,
)
