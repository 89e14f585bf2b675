"""BERT: post-norm layers that read both ways, with learnt positions and types.

Devlin et al., 2018, arXiv:1810.04805; MiniLM: Wang et al., 2020, arXiv:2002.10957.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, MaskedHead, Pooler, SequenceHead, Spec
from blocks.families import _berts as names
from blocks.families import _encoder as common
from blocks.families._dialects import read_activation
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

SERVED = common.architectures("Bert")
# What the first files say of a pooler that was never built.
_UNBUILT = ("fc_size", "num_attention_heads", "num_fc_layers", "size_per_head", "type")


def spec(c: Config) -> Spec:
    c.only("position_embedding_type", "absolute")
    c.only("is_decoder", False)
    c.only("directionality", "bidi")
    for name in _UNBUILT:
        c.take(f"pooler_{name}", int | str, None)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 512)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    rate = c.take("hidden_dropout_prob", float, 0.1)
    return common.encoder(
        c,
        SERVED,
        common.post_norm(c, norm, dim),
        dim,
        context,
        stem=common.stem(c, norm, rows=context, types=c.take("type_vocab_size", int, 2)),
        masked=Spec(MaskedHead, act=read_activation(c, default="gelu"), norm=norm),
        sequence=Spec(SequenceHead, labels=2, dropout=c.take("classifier_dropout", float, rate)),
        pooler=Spec(Pooler),
    )


def config(s: Spec) -> dict[str, Any]:
    return common.write(s, "Bert") | common.write_types(s)


def keys(s: Spec) -> Keys:
    body = common.BODY_KEYS
    return common.table(
        s, "bert.", names.BERT_ENDS, body=body, pooled=common.POOLED, ignore=names.BERT_COPIES
    )


FAMILY = Family("bert", SERVED, spec, config, keys, ties=common.TIES, optional=("pooler",))
