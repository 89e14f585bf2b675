"""BLOOM."""

from __future__ import annotations

from typing import Any

from transformers import BloomConfig, BloomForCausalLM

from blocks import MLP, ALiBi, GQAttention, LayerNorm, replace
from blocks.families._decoder import pre_norm
from tests.families.cases import gpt2
from tests.families.reference import Case, Variant, change, stack_mutations

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "n_layer": 2,
    "n_head": 4,
    "layer_norm_epsilon": 0.05,
    "tie_word_embeddings": False,
    **gpt2.NO_TOKENS,
}

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "three heads": Variant({"hidden_size": 36, "n_head": 3}),
    "normed skips": Variant({"apply_residual_connection_post_layernorm": True}),
    "six heads": Variant({"hidden_size": 36, "n_head": 6}),
}


def plain_skips(spec: Any) -> Any:
    """A mutation: the norm before each branch norms nothing else."""

    def after(layer: Any) -> Any:
        steps = layer.keywords["steps"]
        parts = (steps[name].keywords["inner"] for name in ("attention", "mlp"))
        return pre_norm(steps["attention_norm"], *parts)

    layers = tuple(after(layer) for layer in spec.keywords["layers"])
    return replace(spec, layers=layers)


MUTATIONS = (
    stack_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "no norm of the embedding": ("plain", change("stem", eps=10.0)),
        "no alibi": ("plain", change(GQAttention, scores=())),
        "skips": ("normed skips", plain_skips),
        "slopes": ("plain", change(ALiBi, max_bias=7.0)),
        "scale of alibi": ("plain", change(ALiBi, scale=0.9)),
    }
)

PUBLISHED = {
    "bigscience/bloom-560m": (
        {
            "apply_residual_connection_post_layernorm": False,
            "architectures": ["BloomForCausalLM"],
            "attention_dropout": 0.0,
            "attention_softmax_in_fp32": True,
            "bias_dropout_fusion": True,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "hidden_dropout": 0.0,
            "initializer_range": 0.02,
            "layer_norm_epsilon": 1e-05,
            "masked_softmax_fusion": True,
            "model_type": "bloom",
            "n_embed": 1024,
            "n_inner": None,
            "n_layer": 24,
            "num_attention_heads": 16,
            "offset_alibi": 100,
            "pad_token_id": 3,
            "pretraining_tp": 1,
            "skip_bias_add": True,
            "skip_bias_add_qkv": False,
            "slow_but_exact": False,
            "unk_token_id": 0,
            "use_cache": True,
            "vocab_size": 250880,
        },
        559_214_592,
    ),
}

CASE = Case(
    config=BloomConfig,
    model=BloomForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    fields={
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "num_key_value_heads": None,
        "head_dim": None,
        "intermediate_size": None,
        "hidden_act": None,
        "max_position_embeddings": None,
    },
    extra=(),
    missing_prefix="transformer.",
    tied=True,
)
