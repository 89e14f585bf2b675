"""Reformer: two streams of chunked and hashed attention, for texts of half a million tokens.

Kitaev et al., 2020, arXiv:2001.04451.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, Normed, RepeatedEmbedding, Reversible, Spec
from blocks.families import _classic as classic
from blocks.families import _reformed as tasks
from blocks.families import _reformer as parts
from blocks.families._dialects import count
from blocks.families._encoder import architectures
from blocks.families._layers import check_depth
from blocks.hub.config import Config
from blocks.hub.family import Family

NAMES = classic.LLAMA | {"hidden": "feed_forward_size", "dropout": "hidden_dropout_prob"}
TASKS = ("ForMaskedLM", "ForQuestionAnswering", "ForSequenceClassification")
SERVED = architectures("Reformer", "ModelWithLMHead", *TASKS)
LEAST = {"hidden_size": 256, "is_decoder": True, "num_buckets": 64}


def spec(c: Config) -> Spec:
    parts.check_unread(c)
    ahead = tasks.read_ahead(c, SERVED)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    kinds = c.take("attn_layers", tuple[str, ...], ("local", "lsh") * 3)
    check_depth(c, "attn_layers", kinds, count(c, "num_hidden_layers", len(kinds), low=0))
    if not kinds or not set(kinds) <= parts.KINDS.keys():
        raise c.error("attn_layers", "lists local and lsh layers")
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    dropout = c.take("hidden_dropout_prob", float, 0.05)
    mlp = classic.mlp(c, 512, names=NAMES, act="relu", dropout=dropout)
    mixers = parts.mixers(c, set(kinds), ahead=ahead)
    layers = {kind: _layer(norm, mixer, mlp, dropout) for kind, mixer in mixers.items()}
    ends = {
        "embedding": Spec(RepeatedEmbedding, dropout=dropout),
        "stem": parts.positions(c, dim, context, dropout),
    }
    stack = tuple(layers[kind] for kind in kinds)
    return tasks.whole(c, SERVED, stack, norm, 2 * dim, context, dropout, **ends)


def _layer(norm: Spec, attention: Spec, mlp: Spec, dropout: float) -> Spec:
    steps = {"attention": attention, "mlp": mlp}
    each = {name: Spec(Normed, inner=part, norm_in=norm) for name, part in steps.items()}
    return Spec(Reversible, steps=each, dropout=dropout)


def config(s: Spec) -> dict[str, Any]:
    said = classic.write(s, NAMES, without="attention_dropout")
    own = {"hidden_size": s.keywords["dim"] // 2}
    return said | own | parts.write_mixers(s) | parts.write_positions(s) | tasks.write_task(s)


FAMILY = Family("reformer", SERVED, spec, config, tasks.keys, ties=(), shortest=LEAST)
