"""RoBERTa."""

from __future__ import annotations

from transformers import RobertaConfig, RobertaForMaskedLM

from blocks import MLP, LayerNorm, LearnedPositions
from tests.families.cases import bert
from tests.families.reference import Case, Variant, change, encoder_mutations

VARIANTS = {
    "plain": Variant(),
    "relu": Variant({"hidden_act": "relu"}),
    "three heads": Variant({"hidden_size": 36, "num_attention_heads": 3}),
}

_FORM = {
    "architectures": ["RobertaForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 514,
    "model_type": "roberta",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "type_vocab_size": 1,
    "vocab_size": 50265,
}

CASE = Case(
    kind="encoder",
    config=RobertaConfig,
    model=RobertaForMaskedLM,
    base=bert.BASE | {"pad_token_id": 3, "type_vocab_size": 1},
    variants=VARIANTS | bert.heads("Roberta"),
    mutations=encoder_mutations(LayerNorm, MLP)
    | {"place of the first token": ("plain", change(LearnedPositions, offset=3))},
    published={"FacebookAI/roberta-base": (_FORM, 124_697_433)},
    untried=bert.CASE.untried,
    fields=bert.FIELDS,
    extra=(),
    missing_prefix="roberta.",
    tied=True,
)
