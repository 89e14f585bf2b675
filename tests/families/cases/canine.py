"""CANINE: its characters; longer texts and code points are in test_canine.py."""

from __future__ import annotations

from operator import attrgetter

from transformers import (
    CanineConfig,
    CanineForQuestionAnswering,
    CanineForSequenceClassification,
    CanineForTokenClassification,
    CanineModel,
)

from blocks import (
    MLP,
    ChunkAttention,
    GQAttention,
    LayerNorm,
    Molecules,
    SequenceHead,
    SymmetricWindow,
)
from tests.families.cases.bert import spans
from tests.families.reference import Case, Variant, change, shallow

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "type_vocab_size": 3,
    "num_hash_buckets": 53,
    "num_hash_functions": 8,
    "local_transformer_stride": 16,
    "layer_norm_eps": 0.05,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
PADDED = "the reference's molecules read padding, and how long the whole batch is"


def variant(options=None, model=CanineModel, answer=None):
    answer = answer or attrgetter("last_hidden_state" if model is CanineModel else "logits")
    return Variant(options or {}, model=model, answer=answer, padded=PADDED)


VARIANTS = {
    "plain": variant(),
    "relu": variant({"hidden_act": "relu"}),
    "one chunk": variant({"local_transformer_stride": 128}),
    "strides of three": variant({"downsampling_rate": 3}),
    "odd kernel": variant({"upsampling_kernel_size": 5}),
    "four hashes": variant({"num_hash_functions": 4}),
    "sixteen hashes": variant({"num_hash_functions": 16}),
    "classes": variant({"num_labels": 5}, CanineForSequenceClassification),
    "token classes": variant({"num_labels": 3}, CanineForTokenClassification),
    "spans": variant({}, CanineForQuestionAnswering, spans),
}

MUTATIONS = {
    "chunks": ("plain", change(ChunkAttention, chunk=15)),
    "chunks before": ("plain", change(ChunkAttention, before=1)),
    "window": ("plain", change(GQAttention, mask=SymmetricWindow(4))),
    "activation": ("plain", change(MLP, act="relu")),
    "activation of molecules": ("plain", change(Molecules, act="relu")),
    "eps": ("plain", change(LayerNorm, eps=0.1)),
    "activation of a class": ("classes", change(SequenceHead, act="relu")),
    "depth": ("plain", shallow),
}

PUBLISHED = {
    "google/canine-s": (
        {
            "architectures": ["CanineModel"],
            "attention_probs_dropout_prob": 0.1,
            "bos_token_id": 57344,
            "downsampling_rate": 4,
            "eos_token_id": 57345,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": 768,
            "initializer_range": 0.02,
            "intermediate_size": 3072,
            "layer_norm_eps": 1e-12,
            "local_transformer_stride": 128,
            "max_position_embeddings": 16384,
            "model_type": "canine",
            "num_attention_heads": 12,
            "num_hash_buckets": 16384,
            "num_hash_functions": 8,
            "num_hidden_layers": 12,
            "pad_token_id": 0,
            "type_vocab_size": 16,
            "upsampling_kernel_size": 4,
            "use_cache": True,
        },
        132_082_944,
    ),
}

CASE = Case(
    kind="encoder",
    config=CanineConfig,
    model=CanineModel,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    # Other hashes, strides and kernels are other shapes.
    untried=frozenset(
        {
            "architectures",
            "downsampling_rate",
            "hidden_dropout_prob",
            "num_hash_buckets",
            "num_hash_functions",
            "num_labels",
            "type_vocab_size",
            "upsampling_kernel_size",
            "vocab_size",
        }
    ),
    fields={
        "attention_dropout": "attention_probs_dropout_prob",
        "num_key_value_heads": None,
        "head_dim": None,
        "vocab_size": None,  # which no tensor tells
    },
    implied=frozenset({"vocab_size"}),
    extra=(),
)
