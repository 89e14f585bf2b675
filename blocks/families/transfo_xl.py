"""Transformer-XL: relative attention that sees earlier segments; rare tokens are in clusters.

Dai et al., 2019, arXiv:1901.02860.
"""

from __future__ import annotations

from typing import Any

from blocks import AdaptiveEmbedding, AdaptiveHead, Causal, LayerNorm, Spec, Window, at
from blocks.families import _segments as segments
from blocks.families._decoder import decoder
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    segments.check(c)
    dim, memory = c.take("d_model", int), c.take("mem_len", int, 1600)
    pre, clamp = c.take("pre_lnorm", bool, False), c.take("clamp_len", int, 1000, low=-1)
    options = {
        "heads": c.take("n_head", int),
        "head_dim": c.take("d_head", int),
        "clamp": clamp if clamp > 0 else None,
        "memory": memory,
        "filled": True,
        "mask": Window(memory) if c.take("same_length", bool, True) else Causal(),
        "dropout": c.take("dropatt", float, 0.0),
    }
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    dropout = c.take("dropout", float, 0.1)
    layers = segments.layers(c, norm, pre, options, dropout)
    parts = {
        "cutoffs": c.take("cutoffs", tuple[int, ...], (20_000, 40_000, 200_000)),
        "width": c.take("d_embed", int, 1024),
        "div": c.take("div_val", int, 4),
    }
    embedding = Spec(AdaptiveEmbedding, scale=dim**0.5, dropout=dropout, **parts)
    head = Spec(AdaptiveHead, **parts)
    return decoder(c, layers, None, dim, None, embedding=embedding, head=head)


def config(s: Spec) -> dict[str, Any]:
    attention, parts = at(s, "layers.0.attention").keywords, at(s, "head").keywords
    return segments.write(s) | {
        "clamp_len": attention["clamp"] or -1,
        "cutoffs": list(parts["cutoffs"]),
        "d_embed": parts["width"],
        "div_val": parts["div"],
        "dropatt": attention["dropout"],
        "dropout": at(s, "embedding").keywords["dropout"],
        "mem_len": attention["memory"],
        "pre_lnorm": attention["norm_in"] is not None,
        "same_length": isinstance(attention["mask"], Window),
    }


KEYS, TIES = segments.keys, segments.TIES
FAMILY = Family("transfo-xl", ("TransfoXLLMHeadModel",), spec, config, KEYS, TIES)
