"""XGLM: pre-norm layers with sinusoidal positions and a scaled embedding.

Lin et al., "Few-shot learning with multilingual language models", 2021, arXiv:2112.10668.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, SinusoidalPositions, Spec, TokenEmbedding, at
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import count, read_noise
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

NAMES = {
    "activation": "activation_function",
    "attention_dropout": "attention_dropout",
    "context": "max_position_embeddings",
    "depth": "num_layers",
    "dim": "d_model",
    "dropout": "dropout",
    "heads": "attention_heads",
    "hidden": "ffn_dim",
}


def spec(c: Config) -> Spec:
    read_noise(c, "layerdrop")
    dim, context = c.take("d_model", int), c.take("max_position_embeddings", int, 2048)
    norm, dropout = Spec(LayerNorm), c.take("dropout", float, 0.1)
    attention = classic.attention(c, dim, names=NAMES, rate=0.1)
    inner = c.take("activation_dropout", float, 0.0)
    mlp = classic.mlp(c, names=NAMES, act="gelu", dropout=inner)
    layer = pre_norm(norm, attention, mlp, dropout=dropout)
    scale = dim**0.5 if c.take("scale_embedding", bool, True) else 1.0
    waves = {"layout": "halves", "endpoint": True, "offset": 2}
    stem = Spec(SinusoidalPositions, **waves, dropout=dropout)
    layers, table = (layer,) * count(c, "num_layers"), Spec(TokenEmbedding, scale=scale)
    return decoder(c, layers, norm, dim, context, embedding=table, stem=stem)


def config(s: Spec) -> dict[str, Any]:
    return classic.write(s, NAMES) | {
        "activation_dropout": at(s, "layers.0.mlp").keywords["dropout"],
        "scale_embedding": at(s, "embedding").keywords["scale"] != 1.0,
    }


KEYS = Keys(
    *classic.fairseq("model.", "layer_norm"),
    ignore=("model.embed_positions.weights",),
    optional="model.",
)

FAMILY = Family("xglm", ("XGLMForCausalLM",), spec, config, KEYS)
