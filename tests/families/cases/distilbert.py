"""DistilBERT."""

from __future__ import annotations

from transformers import DistilBertConfig, DistilBertForMaskedLM

from blocks import MLP, LayerNorm
from tests.families.cases import bert
from tests.families.reference import Case, Variant, encoder_mutations

BASE = {
    "vocab_size": 97,
    "dim": 32,
    "hidden_dim": 56,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": None,
}

_FORM = {
    "activation": "gelu",
    "architectures": ["DistilBertForMaskedLM"],
    "attention_dropout": 0.1,
    "dim": 768,
    "dropout": 0.1,
    "hidden_dim": 3072,
    "initializer_range": 0.02,
    "max_position_embeddings": 512,
    "model_type": "distilbert",
    "n_heads": 12,
    "n_layers": 6,
    "pad_token_id": 0,
    "qa_dropout": 0.1,
    "seq_classif_dropout": 0.2,
    "sinusoidal_pos_embds": False,
    "tie_weights_": True,
    "transformers_version": "4.10.0.dev0",
    "vocab_size": 30522,
}

CASE = Case(
    kind="encoder",
    config=DistilBertConfig,
    model=DistilBertForMaskedLM,
    base=BASE,
    variants={
        "plain": Variant(),
        "relu": Variant({"activation": "relu"}),
        "three heads": Variant({"dim": 36, "n_heads": 3}),
        **bert.heads("DistilBert"),
    },
    mutations=encoder_mutations(LayerNorm, MLP),
    published={"distilbert/distilbert-base-uncased": (_FORM, 66_985_530)},
    untried=frozenset({"architectures", "dim", "dropout", "hidden_dim", "n_heads", "num_labels"}),
    fields={
        "attention_dropout": "attention_dropout",
        "hidden_act": "activation",
        "hidden_size": "dim",
        "intermediate_size": "hidden_dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
        "num_key_value_heads": None,
        "head_dim": None,
    },
    extra=(),
    missing_prefix="distilbert.",
    tied=True,
)
