"""Longformer: RoBERTa whose tokens see a window, and a few of them all.

Beltagy et al., 2020, arXiv:2004.05150.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, MaskedHead, Pooler, SequenceHead, Spec, replace
from blocks.families import _classic as classic
from blocks.families import _encoder as common
from blocks.families import _longformer as parts
from blocks.families import _roberta as roberta
from blocks.families._decoder import layer
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

SERVED = common.architectures("Longformer", *roberta.TASKS)


def spec(c: Config) -> Spec:
    c.only("attention_mode", "longformer")
    for name in ("ignore_attention_mask", "is_decoder", "onnx_export"):
        c.only(name, False)
    dim, (rows, offset) = c.take("hidden_size", int), roberta.positions(c)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    mlp, rate = (
        classic.mlp(c, names=common.BERT, act="gelu"),
        c.take("hidden_dropout_prob", float, 0.1),
    )
    every = parts.read_attentions(c, dim)
    types = c.take("type_vocab_size", int, 2)
    ends = {"masked": Spec(MaskedHead, norm=norm), "pooler": Spec(Pooler)}
    ends["sequence"] = Spec(SequenceHead, labels=2, dropout=rate)
    ends["stem"] = common.stem(c, norm, rows=rows, offset=offset, types=types)
    layers = tuple(layer(each, mlp, norm_after=norm, dropout=rate) for each in every)
    whole = common.encoder(c, SERVED, layers, dim, rows - offset, **ends)
    return replace(whole, marks=parts.read_marks(c, common.task_of(whole)))


def config(s: Spec) -> dict[str, Any]:
    said = parts.write_windows(s) | parts.write_marks(s) | roberta.write_positions(s)
    return common.write(s, "Longformer") | common.write_types(s) | said


_SELF, _OURS = "encoder.layer.{i}.attention.self.", "layers.{i}.attention."
BODY = (
    *common.BODY_KEYS,
    (_SELF + "query_global.{w}", _OURS + "q_global.{w}"),
    (_SELF + "key_global.{w}", _OURS + "k_global.{w}"),
    (_SELF + "value_global.{w}", _OURS + "v_global.{w}"),
)


def keys(s: Spec) -> Keys:
    names = {"body": BODY, "pooled": roberta.POOLED, "ignore": roberta.COPIES}
    return common.table(s, "longformer.", roberta.ENDS, **names)


FAMILY = Family("longformer", SERVED, spec, config, keys, ties=common.TIES, optional=("pooler",))
