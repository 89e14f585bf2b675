"""ModernBERT."""

from __future__ import annotations

from transformers import (
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
)

import blocks
from blocks import (
    GatedMLP,
    GQAttention,
    LayerNorm,
    MaskedHead,
    RoPE,
    SequenceHead,
    SpanHead,
    SymmetricWindow,
    TokenHead,
)
from tests.families.ageing import old_config
from tests.families.cases import bert
from tests.families.cases.gemma3_text import ropes
from tests.families.reference import Case, Variant, change, encoder_mutations, other_pairing


def older(data, kind="rope_type"):
    """config.json of transformers 4: a period for a list, and three fields for both RoPEs."""
    kinds, pair = data["layer_types"], data["rope_parameters"]
    rest = {n: v for n, v in data.items() if n not in ("layer_types", "rope_parameters")}
    old = old_config(rest, kind)
    for name, ours in (("full", "global"), ("sliding", "local")):
        scaling = dict(pair[f"{name}_attention"])
        old[f"{ours}_rope_theta"] = scaling.pop("rope_theta")
    scaling = {kind: scaling.pop("rope_type"), **scaling}
    old["rope_scaling"] = None if scaling == {kind: "default"} else scaling
    period = next((i for i, one in enumerate(kinds) if i and one == "full_attention"), len(kinds))
    implied = ["sliding_attention" if i % period else "full_attention" for i in range(len(kinds))]
    said = {"global_attn_every_n_layers": period}
    return old | (said if kinds == implied else {"layer_types": kinds})


BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "local_attention": 14,
    "norm_eps": 0.05,
    "norm_bias": True,
    "attention_bias": True,
    "mlp_bias": True,
    "classifier_bias": True,
    "rope_parameters": ropes(500.0, 80.0),
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "cls_token_id": None,
    "sep_token_id": None,
}

LINEAR = {"rope_type": "linear", "factor": 4.0}
VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "no biases": Variant(
        {
            "attention_bias": False,
            "classifier_bias": False,
            "decoder_bias": False,
            "mlp_bias": False,
            "norm_bias": False,
        }
    ),
    "every other": Variant({"layer_types": ["full_attention", "sliding_attention"] * 2}),
    "windows alone": Variant({"layer_types": ["sliding_attention"] * 4}),
    "window of an odd size": Variant({"local_attention": 9}),
    "linear": Variant(
        {
            "rope_parameters": {
                "full_attention": {"rope_theta": 500.0, **LINEAR},
                "sliding_attention": {"rope_theta": 80.0, **LINEAR},
            }
        }
    ),
    "silu": Variant({"hidden_activation": "silu"}),
    "three heads": Variant({"hidden_size": 36, "num_attention_heads": 3}),
    **bert.heads("ModernBert"),
    "mean of classes": Variant(
        {"num_labels": 5, "classifier_pooling": "mean"}, model=ModernBertForSequenceClassification
    ),
}

MUTATIONS = encoder_mutations(LayerNorm, GatedMLP) | {
    "theta": ("plain", change(RoPE, theta=400.0)),
    "one theta": ("plain", change("layers.1.attention.qk.0", theta=500.0)),
    "pairing": ("plain", other_pairing),
    "share of turned channels": ("plain", change(RoPE, rotated=0.25)),
    "no rope": ("plain", change(GQAttention, qk=())),
    "factor of linear": ("linear", change(RoPE, scaling=None)),
    "window + 1": ("plain", change("layers.1.attention", mask=SymmetricWindow(8))),
    "window - 1": ("plain", change("layers.1.attention", mask=SymmetricWindow(6))),
    "last norm": ("plain", lambda spec: blocks.replace(spec, norm=None)),
    "norm before attention": ("plain", change("layers.1.attention.norm_in", eps=0.5)),
    "activation of the head": ("plain", change(MaskedHead, act="relu")),
    "bias of the head": ("plain", change(MaskedHead, dense_bias=False)),
    "bias of the scores": ("plain", change(MaskedHead, bias=False)),
    "activation of a class": ("classes", change(SequenceHead, act="relu")),
    "norm of a class": ("classes", change(SequenceHead, norm=None)),
    "token of a class": ("classes", change(SequenceHead, pool="mean")),
    "tokens of a class": ("mean of classes", change(SequenceHead, pool="first")),
    "activation of token classes": ("token classes", change(TokenHead, act="relu")),
    "norm of token classes": ("token classes", change(TokenHead, norm=None)),
    "bias of token classes": ("token classes", change(TokenHead, dense_bias=False)),
    "activation of spans": ("spans", change(SpanHead, act="relu")),
    "norm of spans": ("spans", change(SpanHead, norm=None)),
}

_FORM = {
    "architectures": ["ModernBertForMaskedLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 50281,
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "classifier_dropout": 0.0,
    "classifier_pooling": "mean",
    "cls_token_id": 50281,
    "decoder_bias": True,
    "deterministic_flash_attn": False,
    "embedding_dropout": 0.0,
    "eos_token_id": 50282,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "gradient_checkpointing": False,
    "hidden_activation": "gelu",
    "hidden_size": 768,
    "initializer_cutoff_factor": 2.0,
    "initializer_range": 0.02,
    "intermediate_size": 1152,
    "layer_norm_eps": 1e-05,
    "local_attention": 128,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "mlp_dropout": 0.0,
    "model_type": "modernbert",
    "norm_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": 12,
    "num_hidden_layers": 22,
    "pad_token_id": 50283,
    "position_embedding_type": "absolute",
    "sep_token_id": 50282,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "transformers_version": "4.47.0.dev0",
    "vocab_size": 50368,
}
_LARGE = {"hidden_size": 1024, "intermediate_size": 2624, "num_attention_heads": 16}
PUBLISHED = {
    "answerdotai/ModernBERT-base": (_FORM, 149_655_232),
    "answerdotai/ModernBERT-large": (_FORM | _LARGE | {"num_hidden_layers": 28}, 395_881_664),
}

FIELDS = {"hidden_act": "hidden_activation", "num_key_value_heads": None, "head_dim": None}
DROPOUTS = frozenset({"classifier_dropout", "embedding_dropout", "mlp_dropout"})

CASE = Case(
    kind="encoder",
    config=ModernBertConfig,
    model=ModernBertForMaskedLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=DROPOUTS | {"architectures", "num_labels"},
    fields=FIELDS,
    extra=(),
    older=older,
    missing_prefix="model.",
    tied=True,
)
