"""DistilBERT: BERT of half the depth, without types and pooler.

Sanh et al., 2019, arXiv:1910.01108.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, MaskedHead, SequenceHead, Spec, at, replace
from blocks.families import _encoder as common
from blocks.families._dialects import read_activation, read_noise, read_rate
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

SERVED = common.architectures("DistilBert", *common.USUAL)
NAMES = {
    "activation": "activation",
    "attention_dropout": "attention_dropout",
    "context": "max_position_embeddings",
    "depth": "n_layers",
    "dim": "dim",
    "dropout": "dropout",
    "heads": "n_heads",
    "hidden": "hidden_dim",
}
NORM = Spec(LayerNorm, eps=1e-12)


def spec(c: Config) -> Spec:
    c.take("sinusoidal_pos_embds", bool, False)  # a table holds them in either case
    c.take("tie_weights_", bool, True)
    read_noise(c, "qa_dropout")
    dim, context = c.take("dim", int), c.take("max_position_embeddings", int, 512)
    rate = read_rate(c, "seq_classif_dropout", 0.2)
    return common.encoder(
        c,
        SERVED,
        common.post_norm(c, NORM, dim, names=NAMES),
        dim,
        context,
        names=NAMES,
        stem=common.stem(c, NORM, rows=context, names=NAMES),
        masked=Spec(MaskedHead, act=read_activation(c, "activation", "gelu"), norm=NORM),
        sequence=Spec(SequenceHead, labels=2, act="relu", dropout=rate),
    )


def config(s: Spec) -> dict[str, Any]:
    return common.write(s, "DistilBert", NAMES)


_LAYER, _OURS = "transformer.layer.{i}.", "layers.{i}."
BODY = (
    *(rule for rule in common.BODY_KEYS if rule[1].startswith(("embedding", "stem"))),
    *((f"{_LAYER}attention.{p}_lin.{{w}}", f"{_OURS}attention.{p}.{{w}}") for p in ("q", "k", "v")),
    (_LAYER + "attention.out_lin.{w}", _OURS + "attention.out.{w}"),
    (_LAYER + "sa_layer_norm.{w}", _OURS + "attention.norm_after.{w}"),
    (_LAYER + "ffn.lin1.{w}", _OURS + "mlp.up.{w}"),
    (_LAYER + "ffn.lin2.{w}", _OURS + "mlp.down.{w}"),
    (_LAYER + "output_layer_norm.{w}", _OURS + "mlp.norm_after.{w}"),
)
ENDS = common.TASK_KEYS | {
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


def keys(s: Spec) -> Keys:
    return common.table(s, "distilbert.", ENDS, body=BODY, pooled={})


FAMILY = Family("distilbert", SERVED, spec, config, keys)
