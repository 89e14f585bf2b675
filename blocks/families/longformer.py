"""Longformer: RoBERTa whose tokens see a window, and a few of them all.

Beltagy et al., 2020, arXiv:2004.05150.
"""

from __future__ import annotations

from typing import Any

from blocks import (
    BeforeToken,
    FirstToken,
    LayerNorm,
    LongformerAttention,
    MaskedHead,
    Pooler,
    SequenceHead,
    Spec,
    replace,
)
from blocks.families import _classic as classic
from blocks.families import _encoder as common
from blocks.families import _roberta as roberta
from blocks.families._decoder import layer
from blocks.families._dialects import count
from blocks.families._layers import attentions, check_depth
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
    rate, mlp = (
        c.take("hidden_dropout_prob", float, 0.1),
        classic.mlp(c, act="gelu", names=common.BERT),
    )
    stack = [layer(part, mlp, norm_after=norm, dropout=rate) for part in _attentions(c, dim)]
    types = c.take("type_vocab_size", int, 2)
    whole = common.encoder(
        c,
        SERVED,
        tuple(stack),
        dim,
        rows - offset,
        stem=common.stem(c, norm, rows=rows, offset=offset, types=types),
        masked=Spec(MaskedHead, norm=norm),
        sequence=Spec(SequenceHead, labels=2, dropout=rate),
        pooler=Spec(Pooler),
    )
    first, sep = FirstToken(), BeforeToken(c.take("sep_token_id", int, 2, low=0))
    marks = {"ForSequenceClassification": first, "ForQuestionAnswering": sep}
    return replace(whole, marks=marks.get(common.task_of(whole)))


def _attentions(c: Config, dim: int) -> list[Spec]:
    heads, depth = c.take("num_attention_heads", int), count(c, "num_hidden_layers")
    if dim % heads:
        raise c.error("num_attention_heads", f"{heads} heads don't divide hidden_size {dim}")
    said = c.take("attention_window", int | tuple[int, ...], 512)
    sizes = (said,) * depth if isinstance(said, int) else said
    check_depth(c, "attention_window", sizes, depth)
    if any(size < 2 or size % 2 for size in sizes):
        raise c.error("attention_window", f"{said} has no two halves, one for each side")
    rate = c.take("attention_probs_dropout_prob", float, 0.1)
    options = {"heads": heads, "head_dim": dim // heads, "bias": True, "out_bias": True}
    each = {n: Spec(LongformerAttention, radius=n // 2, dropout=rate, **options) for n in sizes}
    return [each[n] for n in sizes]


def config(s: Spec) -> dict[str, Any]:
    windows = [2 * attention.keywords["radius"] for attention in attentions(s)]
    said = {"attention_window": windows} | common.write_types(s) | roberta.write_positions(s)
    marks = s.keywords["marks"]
    said |= {"sep_token_id": marks.token} if isinstance(marks, BeforeToken) else {}
    return common.write(s, "Longformer") | said


_ATTENTION = "encoder.layer.{i}.attention.self."
BODY = (
    *common.BODY_KEYS,
    (_ATTENTION + "query_global.{w}", "layers.{i}.attention.q_global.{w}"),
    (_ATTENTION + "key_global.{w}", "layers.{i}.attention.k_global.{w}"),
    (_ATTENTION + "value_global.{w}", "layers.{i}.attention.v_global.{w}"),
)


def keys(s: Spec) -> Keys:
    ends, pooled = roberta.ENDS, roberta.POOLED
    return common.table(s, "longformer.", ends, body=BODY, pooled=pooled, ignore=roberta.COPIES)


FAMILY = Family("longformer", SERVED, spec, config, keys, ties=common.TIES, optional=("pooler",))
