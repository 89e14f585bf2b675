"""ALBERT: BERT whose layers are all one, with narrow embeddings.

Lan et al., 2019, arXiv:1909.11942.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, MaskedHead, Pooler, SequenceHead, Spec
from blocks.families import _berts as names
from blocks.families import _encoder as common
from blocks.families._dialects import read_activation, read_rate
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

SERVED, TANH = common.architectures("Albert"), "gelu_new"


def spec(c: Config) -> Spec:
    c.only("position_embedding_type", "absolute")
    c.only("num_hidden_groups", 1)
    c.only("inner_group_num", 1)
    for unused in ("net_structure_type", "num_memory_blocks", "gap_size", "down_scale_factor"):
        c.take(unused, int, 0, low=0)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 512)
    width = c.take("embedding_size", int, 128)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    return common.encoder(
        c,
        SERVED,
        common.post_norm(c, norm, dim, rate=0.0, act=TANH),
        dim,
        context,
        stem=common.stem(c, norm, rows=context, types=c.take("type_vocab_size", int, 2), rate=0.0),
        width=width,
        masked=Spec(MaskedHead, width=width, act=read_activation(c, default=TANH), norm=norm),
        sequence=Spec(SequenceHead, labels=2, dropout=read_rate(c, "classifier_dropout_prob", 0.1)),
        pooler=Spec(Pooler),
    )


def config(s: Spec) -> dict[str, Any]:
    narrow = {"embedding_size": s.keywords["width"]}
    return common.write(s, "Albert") | common.write_types(s) | narrow


def keys(s: Spec) -> Keys:
    pool: dict[str, Any] = {"pooled": common.POOLED, "pooler": "pooler"}
    pool |= {"body": names.ALBERT_BODY, "ignore": ("predictions.decoder.bias",)}
    return common.table(s, "albert.", names.ALBERT_ENDS, **pool)


def ties(s: Spec) -> tuple[tuple[str, str], ...]:
    later = range(1, len(s.keywords["layers"]))
    return (*common.TIES, *((f"layers.{i}", "layers.0") for i in later))


FAMILY = Family("albert", SERVED, spec, config, keys, ties=ties, optional=("pooler",))
