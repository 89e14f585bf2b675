"""Nomic BERT: BERT that turns positions, with gated MLPs and without biases.

Nussbaum et al., "Nomic Embed", 2024, arXiv:2402.01613.
"""

from __future__ import annotations

from typing import Any

from blocks import MaskedHead, SequenceHead, Spec
from blocks.families import _encoder as common
from blocks.families import _nomic as own
from blocks.families._dialects import read_activation
from blocks.families._rope import reach
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

TASKS = ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")
SERVED = common.architectures("NomicBert", *TASKS)


def spec(c: Config) -> Spec:
    own.check(c)
    dim = c.take("hidden_size", int, aliases=("n_embd",))
    context = c.take("max_position_embeddings", int, c.take("n_positions", int, 2048))
    norm, rate = own.read_norm(c), own.read_rate(c)
    layers = own.layers(c, dim, context, norm)
    return common.encoder(
        c,
        SERVED,
        layers,
        dim,
        reach(layers, context),
        stem=own.stem(c, norm, rate),
        masked=Spec(MaskedHead, act=read_activation(c), norm=norm),
        sequence=Spec(SequenceHead, labels=2, dropout=c.take("classifier_dropout", float, rate)),
    )


def config(s: Spec) -> dict[str, Any]:
    return common.write(s, "NomicBert") | common.write_types(s) | own.write(s)


ENDS = common.TASK_KEYS | {
    "ForMaskedLM": (
        ("cls.predictions.decoder.weight", "head.weight"),
        ("cls.predictions.bias", "head.bias"),
        ("cls.predictions.transform.dense.{w}", "head.dense.{w}"),
        ("cls.predictions.transform.layer_norm.{w}", "head.norm.{w}"),
    ),
}
POOLED = {"ForSequenceClassification": "head.dense.{w}"}


def keys(s: Spec) -> Keys:
    return common.table(s, "nomic_bert.", ENDS, pooled=POOLED, **own.NAMES)


FAMILY = Family("nomic_bert", SERVED, spec, config, keys)
