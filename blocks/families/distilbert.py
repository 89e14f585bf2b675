"""DistilBERT: BERT of half the depth, without types and pooler.

Sanh et al., 2019, arXiv:1910.01108.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, MaskedHead, SequenceHead, Spec
from blocks.families import _berts as names
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


def keys(s: Spec) -> Keys:
    return common.table(s, "distilbert.", names.DISTIL_ENDS, body=names.DISTIL_BODY, pooled={})


FAMILY = Family("distilbert", SERVED, spec, config, keys)
