"""Reformer. The reference is compared with the bias of its head added, which it reads and drops.

Of a padded batch it is compared in test_reformer.py: there its circles are as long as the batch.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import transformers
from transformers import (
    ReformerConfig,
    ReformerForQuestionAnswering,
    ReformerForSequenceClassification,
    ReformerModel,
)

import blocks
from blocks import (
    MLP,
    AxialPositions,
    Causal,
    ChunkAttention,
    CircleAttention,
    Full,
    LayerNorm,
    LMHead,
    LSHAttention,
    SequenceHead,
    Window,
)
from tests.families.cases.bert import spans
from tests.families.reference import Case, Variant, change, shallow


class ReformerModelWithLMHead(transformers.ReformerModelWithLMHead):
    """The reference as it was when the published models were trained: with a bias on its head."""

    def __init__(self, config: ReformerConfig):
        super().__init__(config)
        self.register_forward_hook(_with_bias)


class ReformerForMaskedLM(transformers.ReformerForMaskedLM):
    """The same of the head that tells masked tokens."""

    def __init__(self, config: ReformerConfig):
        super().__init__(config)
        self.register_forward_hook(_with_bias)


def _with_bias(model: Any, _: Any, found: Any) -> Any:
    found.logits = found.logits + model.lm_head.bias
    return found


BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "feed_forward_size": 56,
    "num_attention_heads": 4,
    "attention_head_size": 12,
    "attn_layers": ["local", "lsh"],
    "axial_pos_embds": False,
    "max_position_embeddings": 64,
    "local_attn_chunk_length": 8,
    "lsh_attn_chunk_length": 16,
    "num_buckets": 8,
    "hash_seed": 3,
    "is_decoder": True,
    "layer_norm_eps": 0.05,
    "hidden_act": "gelu",
    "use_cache": False,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}

GRID = {"axial_pos_embds": True, "axial_pos_shape": [4, 16], "axial_pos_embds_dim": [8, 24]}

VARIANTS = {
    "plain": Variant(),
    "three rounds": Variant({"num_hashes": 3}),
    "buckets of two factors": Variant({"num_buckets": [2, 4], "num_hashes": 2}),
    "hashed layers alone": Variant({"attn_layers": ["lsh"], "num_hashes": 2}),
    # Beyond a chunk later tokens move earlier ones, which a second hashed layer reads.
    "hashed layers twice": Variant({"attn_layers": ["lsh", "local", "lsh"]}, prompt=8),
    "local layers alone": Variant({"attn_layers": ["local", "local"]}),
    "chunks of other lengths": Variant({"local_attn_chunk_length": 12, "lsh_attn_chunk_length": 8}),
    "two chunks before": Variant({"local_num_chunks_before": 2, "lsh_num_chunks_before": 2}),
    "axial positions": Variant(GRID),
    "relu": Variant({"hidden_act": "relu"}),
}
CIRCLES = "the reference's circles of chunks are as long as the batch"


def encoder(
    model: Any = ReformerForMaskedLM, /, answer: Any = attrgetter("logits"), **options: Any
) -> Variant:
    """A variant whose tokens see those after them."""
    more = {"kind": "encoder", "model": model, "answer": answer, "padded": CIRCLES}
    return Variant({"is_decoder": False} | options, **more)


AFTER = {"local_num_chunks_after": 1, "lsh_num_chunks_after": 1}
VARIANTS |= {
    "masked": encoder(),
    "masked, three rounds": encoder(num_hashes=3, **AFTER),
    "masked, chunks of other lengths": encoder(
        local_attn_chunk_length=12, lsh_attn_chunk_length=8, **AFTER
    ),
    "masked, nothing before": encoder(local_num_chunks_before=0, lsh_num_chunks_before=0, **AFTER),
    "masked, hashed layers alone": encoder(attn_layers=["lsh"] * 3, num_buckets=[2, 4]),
    "masked, local layers alone": encoder(attn_layers=["local"] * 2, local_num_chunks_before=2),
    "masked, axial positions": encoder(**GRID),
    "bare": encoder(ReformerModel, attrgetter("last_hidden_state")),
    "classes": encoder(ReformerForSequenceClassification, num_labels=5),
    "spans": encoder(ReformerForQuestionAnswering, spans),
    "classes of a decoder": Variant(
        {"num_labels": 3},
        model=ReformerForSequenceClassification,
        kind="encoder",
        padded=CIRCLES,
    ),
}

MUTATIONS = {
    "circle": ("masked", change(CircleAttention, before=2)),
    "circle, after": ("masked", change(CircleAttention, after=1)),
    "mask of a circle": ("masked", change(CircleAttention, mask=Causal())),
    "chunks of a circle": ("masked", change(CircleAttention, chunk=4)),
    "length of a circle": ("masked", change(CircleAttention, multiple=40)),
    "hashed chunks after": ("masked", change(LSHAttention, after=1)),
    "activation of a class": ("classes", change(SequenceHead, act="relu")),
    "token of a class": ("classes", change(SequenceHead, pool="last")),
    "eps": ("plain", change(LayerNorm, eps=0.5)),
    "activation": ("plain", change(MLP, act="relu2")),
    "biases of the mlp": ("plain", change(MLP, bias=False)),
    "bias of the head": ("plain", change(LMHead, bias=False)),
    "depth": ("plain", shallow),
    "mask of local layers": ("plain", change(ChunkAttention, mask=Full())),
    "window of local layers": ("plain", change(ChunkAttention, mask=Window(7))),
    "mask of hashed layers": ("plain", change(LSHAttention, mask=Full())),
    "local chunks": ("plain", change(ChunkAttention, chunk=9)),
    "local chunks before": ("plain", change(ChunkAttention, before=0)),
    "hashed chunks": ("plain", change(LSHAttention, chunk=8)),
    "hashed chunks before": ("plain", change(LSHAttention, before=0)),
    "buckets": ("plain", change(LSHAttention, buckets=4)),
    "factors the other way": ("buckets of two factors", change(LSHAttention, buckets=(4, 2))),
    "seed": ("plain", change(LSHAttention, seed=4)),
    "no seed": ("plain", change(LSHAttention, seed=None)),
    "rounds": ("three rounds", change(LSHAttention, hashes=2)),
    "length of all chunks": ("chunks of other lengths", change(LSHAttention, multiple=8)),
    "grid": ("axial positions", change(AxialPositions, shape=(16, 4), widths=(24, 8))),
    "positions": ("plain", lambda spec: blocks.replace(spec, stem=None)),
}

PUBLISHED = {
    "google/reformer-crime-and-punishment": (
        {
            "architectures": ["ReformerModelWithLMHead"],
            "attention_head_size": 64,
            "attention_probs_dropout_prob": 0.1,
            "attn_layers": ["local", "lsh", "local", "lsh", "local", "lsh"],
            "axial_norm_std": 1.0,
            "axial_pos_embds": True,
            "axial_pos_embds_dim": [64, 192],
            "axial_pos_shape": [512, 1024],
            "chunk_size_feed_forward": 0,
            "chunk_size_lm_head": 0,
            "eos_token_id": 2,
            "feed_forward_size": 512,
            "hash_seed": None,
            "hidden_act": "relu",
            "hidden_dropout_prob": 0.05,
            "hidden_size": 256,
            "initializer_range": 0.02,
            "intermediate_size": 3072,
            "is_decoder": True,
            "layer_norm_eps": 1e-12,
            "local_attention_probs_dropout_prob": 0.05,
            "local_attn_chunk_length": 64,
            "local_num_chunks_after": 0,
            "local_num_chunks_before": 1,
            "lsh_attention_probs_dropout_prob": 0.0,
            "lsh_attn_chunk_length": 64,
            "lsh_num_chunks_after": 0,
            "lsh_num_chunks_before": 1,
            "max_position_embeddings": 524288,
            "model_type": "reformer",
            "num_attention_heads": 2,
            "num_buckets": [64, 128],
            "num_chunks_after": 0,
            "num_chunks_before": 1,
            "num_hashes": 1,
            "num_hidden_layers": 6,
            "output_past": True,
            "pad_token_id": 0,
            "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 100}},
            "vocab_size": 320,
        },
        2_748_224,
    ),
}

CASE = Case(
    config=ReformerConfig,
    model=ReformerModelWithLMHead,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    # Two that have one value in a decoder, one that says which positions, two of training.
    untried=frozenset(
        {
            "architectures",
            "attention_head_size",
            "axial_pos_embds",
            "classifier_dropout",
            "hidden_dropout_prob",
            "is_decoder",
            "lsh_attention_probs_dropout_prob",
            "num_labels",
            "num_attention_heads",
        }
    ),
    fields={
        "intermediate_size": "feed_forward_size",
        "num_attention_heads": None,  # of a size of their own, so that any number fits
        "num_key_value_heads": None,
        "head_dim": None,
        "attention_dropout": "local_attention_probs_dropout_prob",
    },
    extra=(
        "lm_head.decoder.bias",  # beside lm_head.bias, which it is
        "reformer.encoder.layers.{i}.attention.self_attention.mask_value_float32",
        "reformer.encoder.layers.{i}.attention.self_attention.self_mask_value_float16",
    ),
    missing_prefix="reformer.",
    implied=frozenset({"num_attention_heads", "num_hidden_layers"}),
)
