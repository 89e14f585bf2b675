"""ALBERT: BERT whose layers are all one, with narrow embeddings.

Lan et al., 2019, arXiv:1909.11942.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, MaskedHead, Pooler, SequenceHead, Spec
from blocks.families import _encoder as common
from blocks.families._dialects import read_activation, read_rate
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

SERVED = common.architectures("Albert")


def spec(c: Config) -> Spec:
    c.only("position_embedding_type", "absolute")
    c.only("num_hidden_groups", 1)
    c.only("inner_group_num", 1)
    for unused in ("net_structure_type", "num_memory_blocks", "gap_size", "down_scale_factor"):
        c.take(unused, int, 0, low=0)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 512)
    width = c.take("embedding_size", int, 128)
    act = read_activation(c, default="gelu_new")
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    rate = read_rate(c, "classifier_dropout_prob", 0.1)
    return common.encoder(
        c,
        SERVED,
        common.post_norm(c, norm, dim, rate=0.0, act="gelu_new"),
        dim,
        context,
        stem=common.stem(c, norm, rows=context, types=c.take("type_vocab_size", int, 2), rate=0.0),
        width=width,
        masked=Spec(MaskedHead, width=width, act=act, norm=norm),
        sequence=Spec(SequenceHead, labels=2, dropout=rate),
        pooler=Spec(Pooler),
    )


def config(s: Spec) -> dict[str, Any]:
    narrow = {"embedding_size": s.keywords["width"]}
    return common.write(s, "Albert") | common.write_types(s) | narrow


_LAYER, _OURS = "encoder.albert_layer_groups.0.albert_layers.0.", "layers.0."
_PARTS = {"query": "q", "key": "k", "value": "v", "dense": "out", "LayerNorm": "norm_after"}
BODY = (
    *(rule for rule in common.BODY_KEYS if rule[1].startswith(("embedding", "stem"))),
    ("encoder.embedding_hidden_mapping_in.{w}", "widen.{w}"),
    *((f"{_LAYER}attention.{t}.{{w}}", f"{_OURS}attention.{o}.{{w}}") for t, o in _PARTS.items()),
    (_LAYER + "ffn.{w}", _OURS + "mlp.up.{w}"),
    (_LAYER + "ffn_output.{w}", _OURS + "mlp.down.{w}"),
    (_LAYER + "full_layer_layer_norm.{w}", _OURS + "mlp.norm_after.{w}"),
)
PREDICTIONS = (
    ("predictions.decoder.weight", "head.weight"),
    ("predictions.bias", "head.bias"),
    ("predictions.dense.{w}", "head.dense.{w}"),
    ("predictions.LayerNorm.{w}", "head.norm.{w}"),
)
ORDER = (("sop_classifier.classifier.{w}", "head.pairs.out.{w}"),)
ENDS = common.TASK_KEYS | {
    "ForMaskedLM": PREDICTIONS,
    "ForPreTraining": (*common.moved(PREDICTIONS, "head.masked."), *ORDER),
}


def keys(s: Spec) -> Keys:
    pool: dict[str, Any] = {"pooled": common.POOLED, "pooler": "pooler"}
    copies = ("predictions.decoder.bias",)
    return common.table(s, "albert.", ENDS, body=BODY, **pool, ignore=copies)


def ties(s: Spec) -> tuple[tuple[str, str], ...]:
    later = range(1, len(s.keywords["layers"]))
    return (*common.TIES, *((f"layers.{i}", "layers.0") for i in later))


FAMILY = Family("albert", SERVED, spec, config, keys, ties=ties, optional=("pooler",))
