"""ELECTRA."""

from __future__ import annotations

import dataclasses

from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

from blocks import TokenHead
from tests.families.cases import bert
from tests.families.reference import Variant, change

_FORM = {
    "architectures": ["ElectraForPreTraining"],
    "attention_probs_dropout_prob": 0.1,
    "embedding_size": 128,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 1024,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "electra",
    "num_attention_heads": 4,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "summary_activation": "gelu",
    "summary_last_dropout": 0.1,
    "summary_type": "first",
    "summary_use_proj": True,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}

CASE = dataclasses.replace(
    bert.CASE,
    config=ElectraConfig,
    model=ElectraForMaskedLM,
    base=bert.BASE | {"embedding_size": 20},
    variants={
        "plain": Variant(),
        "relu": Variant({"hidden_act": "relu"}),
        "as wide": Variant({"embedding_size": 32}),
        **bert.heads("Electra"),
        "replaced tokens": Variant(
            model=ElectraForPreTraining, answer=lambda output: output.logits[..., None]
        ),
    },
    mutations=bert.MUTATIONS
    | {"activation that tells": ("replaced tokens", change(TokenHead, act="relu"))},
    published={"google/electra-small-discriminator": (_FORM, 13_549_057)},
    untried=bert.CASE.untried | {"embedding_size"},
    missing_prefix="electra.",
)
