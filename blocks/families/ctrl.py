"""CTRL: pre-norm layers with sinusoidal positions, told what to write by a first token.

Keskar et al., "CTRL: a conditional transformer language model", 2019, arXiv:1909.05858.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, LayerNorm, LMHead, SinusoidalPositions, Spec, TokenEmbedding, at
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

NAMES = {what: name for what, name in classic.GPT.items() if what not in ("activation", "eps")}
NAMES |= {"hidden": "dff"}


def spec(c: Config) -> Spec:
    c.take("n_ctx", int, None)  # how long its texts were in training
    dim, context = c.take("n_embd", int), c.take("n_positions", int, 256)
    dropout = c.take("resid_pdrop", float, 0.1)
    mlp = Spec(MLP, hidden=c.take("dff", int), act="relu")
    inside = Spec(LayerNorm, eps=1e-6)  # whatever layer_norm_epsilon says
    layer = pre_norm(inside, classic.attention(c, dim), mlp, dropout=dropout)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-6))
    stem = Spec(SinusoidalPositions, layout="halves", dropout=c.take("embd_pdrop", float, 0.1))
    layers = (layer,) * count(c, "n_layer")
    ends = {"embedding": Spec(TokenEmbedding, scale=dim**0.5), "head": Spec(LMHead, bias=True)}
    return decoder(c, layers, norm, dim, context, stem=stem, **ends)


def config(s: Spec) -> dict[str, Any]:
    return classic.write(s, NAMES) | {"layer_norm_epsilon": at(s, "norm").keywords["eps"]}


_LAYER, _OURS = "transformer.h.{i}.", "layers.{i}."
_ATTENTION = {"Wq": "q", "Wk": "k", "Wv": "v", "dense": "out"}
KEYS = Keys(
    ("transformer.w.weight", "embedding.weight"),
    ("lm_head.{w}", "head.{w}"),
    (_LAYER + "layernorm1.{w}", _OURS + "attention.norm_in.{w}"),
    *(
        (f"{_LAYER}multi_head_attention.{theirs}.{{w}}", f"{_OURS}attention.{ours}.{{w}}")
        for theirs, ours in _ATTENTION.items()
    ),
    (_LAYER + "layernorm2.{w}", _OURS + "mlp.norm_in.{w}"),
    (_LAYER + "ffn.0.{w}", _OURS + "mlp.up.{w}"),
    (_LAYER + "ffn.2.{w}", _OURS + "mlp.down.{w}"),
    ("transformer.layernorm.{w}", "norm.{w}"),
    optional="transformer.",
)

FAMILY = Family("ctrl", ("CTRLLMHeadModel",), spec, config, KEYS)
