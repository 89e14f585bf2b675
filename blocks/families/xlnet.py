"""XLNet: relative attention that reads both ways, trained to tell tokens in any order.

Yang et al., 2019, arXiv:1906.08237.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, LMHead, QueryEmbedding, Spec
from blocks.families import _classic as classic
from blocks.families import _encoder as common
from blocks.families import _xlnet as own
from blocks.families._decoder import layer
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family

NAMES = {"activation": "ff_activation", "depth": "n_layer", "dim": "d_model", "dropout": "dropout"}
NAMES |= {"eps": "layer_norm_eps", "heads": "n_head", "hidden": "d_inner"}
TASKS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnsweringSimple")
TASKS += ("ForQuestionAnswering",)
SERVED = common.architectures("XLNet", "LMHeadModel", *TASKS)


def spec(c: Config) -> Spec:
    own.check(c)
    dim, rate = c.take("d_model", int), c.take("dropout", float, 0.1)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    mlp = classic.mlp(c, names=NAMES, act="gelu", dropout=rate)
    each = layer(own.attention(c, dim, rate), mlp, norm_after=norm, dropout=rate)
    parts = {"masked": Spec(LMHead, bias=True), "sequence": own.read_summary(c)}
    parts["spans"] = own.read_spans(c, norm)
    layers, embedding = (each,) * count(c, "n_layer"), Spec(QueryEmbedding, dropout=rate)
    return common.encoder(c, SERVED, layers, dim, None, embedding=embedding, **parts)


def config(s: Spec) -> dict[str, Any]:
    return common.write(own.shown(s), "XLNet", NAMES) | own.write(s)


FAMILY = Family("xlnet", SERVED, spec, config, own.keys)
