"""BERT and MiniLM."""

from __future__ import annotations

import dataclasses
from operator import attrgetter

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
)

from blocks import MLP, LayerNorm, MaskedHead
from tests.families.reference import Case, Variant, change, encoder_mutations, flat

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "layer_norm_eps": 0.05,
    "pad_token_id": None,
}


def spans(output):
    return torch.stack([output.start_logits, output.end_logits], -1)


def heads(name, **more):
    """A variant for each task that the reference has under these class names."""
    import transformers

    hidden = attrgetter("last_hidden_state")
    every = {
        "bare": ("Model", Variant(answer=hidden)),
        "encoder": ("EncoderModel", Variant(answer=hidden)),
        "classes": ("ForSequenceClassification", Variant({"num_labels": 5})),
        "token classes": ("ForTokenClassification", Variant({"num_labels": 3})),
        "spans": ("ForQuestionAnswering", Variant(answer=spans)),
    }
    return {
        variant: dataclasses.replace(how, model=getattr(transformers, name + task))
        for variant, (task, how) in every.items()
        if hasattr(transformers, name + task)
    } | more


VARIANTS = {
    "plain": Variant(),
    "relu": Variant({"hidden_act": "relu"}),
    "three heads": Variant({"hidden_size": 36, "num_attention_heads": 3}),
    "five types": Variant({"type_vocab_size": 5}),
    **heads("Bert"),
    "pretraining": Variant(
        model=BertForPreTraining,
        answer=lambda output: flat((output.prediction_logits, output.seq_relationship_logits)),
    ),
}

MUTATIONS = encoder_mutations(LayerNorm, MLP) | {
    "activation of the head": ("plain", change(MaskedHead, act="relu")),
}

_FORM = {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "transformers_version": "4.6.0.dev0",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 30522,
}
PUBLISHED = {
    "google-bert/bert-base-uncased": (_FORM, 109_514_298),
    "google-bert/bert-base-uncased, pretraining": (
        _FORM | {"architectures": ["BertForPreTraining"]},
        110_106_428,
    ),
    "google-bert/bert-base-chinese": (
        _FORM
        | {
            "directionality": "bidi",
            "pooler_fc_size": 768,
            "pooler_num_attention_heads": 12,
            "pooler_num_fc_layers": 3,
            "pooler_size_per_head": 128,
            "pooler_type": "first_token_transform",
            "vocab_size": 21128,
        },
        102_290_312,
    ),
}

FIELDS = {
    "attention_dropout": "attention_probs_dropout_prob",
    "num_key_value_heads": None,
    "head_dim": None,
}

CASE = Case(
    kind="encoder",
    config=BertConfig,
    model=BertForMaskedLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset({"architectures", "hidden_dropout_prob", "num_labels", "type_vocab_size"}),
    fields=FIELDS,
    extra=(),
    missing_prefix="bert.",
    tied=True,
)
