"""Names that the tensors of BERT's kin have, in tables for a family's Keys."""

from __future__ import annotations

from blocks.families import _encoder as common

BERT_PREDICTIONS = (
    ("cls.predictions.decoder.weight", "head.weight"),
    ("cls.predictions.bias", "head.bias"),
    ("cls.predictions.transform.dense.{w}", "head.dense.{w}"),
    ("cls.predictions.transform.LayerNorm.{w}", "head.norm.{w}"),
)
BERT_PAIRS = (("cls.seq_relationship.{w}", "head.pairs.out.{w}"),)
BERT_ENDS = common.TASK_KEYS | {
    "ForMaskedLM": BERT_PREDICTIONS,
    "ForPreTraining": (*common.moved(BERT_PREDICTIONS, "head.masked."), *BERT_PAIRS),
}
BERT_COPIES = ("cls.predictions.decoder.bias",)  # of cls.predictions.bias

_DISTIL_LAYER, _DISTIL_OURS = "transformer.layer.{i}.", "layers.{i}."
DISTIL_BODY = (
    *(rule for rule in common.BODY_KEYS if rule[1].startswith(("embedding", "stem"))),
    *(
        (f"{_DISTIL_LAYER}attention.{p}_lin.{{w}}", f"{_DISTIL_OURS}attention.{p}.{{w}}")
        for p in ("q", "k", "v")
    ),
    (_DISTIL_LAYER + "attention.out_lin.{w}", _DISTIL_OURS + "attention.out.{w}"),
    (_DISTIL_LAYER + "sa_layer_norm.{w}", _DISTIL_OURS + "attention.norm_after.{w}"),
    (_DISTIL_LAYER + "ffn.lin1.{w}", _DISTIL_OURS + "mlp.up.{w}"),
    (_DISTIL_LAYER + "ffn.lin2.{w}", _DISTIL_OURS + "mlp.down.{w}"),
    (_DISTIL_LAYER + "output_layer_norm.{w}", _DISTIL_OURS + "mlp.norm_after.{w}"),
)
DISTIL_ENDS = common.TASK_KEYS | {
    "ForMaskedLM": (
        ("vocab_projector.{w}", "head.{w}"),
        ("vocab_transform.{w}", "head.dense.{w}"),
        ("vocab_layer_norm.{w}", "head.norm.{w}"),
    ),
    "ForSequenceClassification": (
        ("pre_classifier.{w}", "head.dense.{w}"),
        ("classifier.{w}", "head.out.{w}"),
    ),
}

ELECTRA_BODY = (*common.BODY_KEYS, ("embeddings_project.{w}", "widen.{w}"))
ELECTRA_ENDS = common.TASK_KEYS | {
    "ForMaskedLM": (
        ("generator_lm_head.{w}", "head.{w}"),
        ("generator_predictions.dense.{w}", "head.dense.{w}"),
        ("generator_predictions.LayerNorm.{w}", "head.norm.{w}"),
    ),
    "ForPreTraining": (
        ("discriminator_predictions.dense.{w}", "head.dense.{w}"),
        ("discriminator_predictions.dense_prediction.{w}", "head.out.{w}"),
    ),
    "ForSequenceClassification": (
        ("classifier.dense.{w}", "head.dense.{w}"),
        ("classifier.out_proj.{w}", "head.out.{w}"),
    ),
}

_ALBERT_LAYER, _ALBERT_OURS = "encoder.albert_layer_groups.0.albert_layers.0.", "layers.0."
_ALBERT_PARTS = {"query": "q", "key": "k", "value": "v", "dense": "out", "LayerNorm": "norm_after"}
ALBERT_BODY = (
    *(rule for rule in common.BODY_KEYS if rule[1].startswith(("embedding", "stem"))),
    ("encoder.embedding_hidden_mapping_in.{w}", "widen.{w}"),
    *(
        (f"{_ALBERT_LAYER}attention.{t}.{{w}}", f"{_ALBERT_OURS}attention.{o}.{{w}}")
        for t, o in _ALBERT_PARTS.items()
    ),
    (_ALBERT_LAYER + "ffn.{w}", _ALBERT_OURS + "mlp.up.{w}"),
    (_ALBERT_LAYER + "ffn_output.{w}", _ALBERT_OURS + "mlp.down.{w}"),
    (_ALBERT_LAYER + "full_layer_layer_norm.{w}", _ALBERT_OURS + "mlp.norm_after.{w}"),
)
ALBERT_PREDICTIONS = (
    ("predictions.decoder.weight", "head.weight"),
    ("predictions.bias", "head.bias"),
    ("predictions.dense.{w}", "head.dense.{w}"),
    ("predictions.LayerNorm.{w}", "head.norm.{w}"),
)
ALBERT_ORDER = (("sop_classifier.classifier.{w}", "head.pairs.out.{w}"),)
ALBERT_ENDS = common.TASK_KEYS | {
    "ForMaskedLM": ALBERT_PREDICTIONS,
    "ForPreTraining": (*common.moved(ALBERT_PREDICTIONS, "head.masked."), *ALBERT_ORDER),
}
