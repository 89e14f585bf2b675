"""BioGPT: GPT-2 with a scaled embedding, in the names of fairseq.

Luo et al., 2022, arXiv:2210.10341.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, Spec, TokenEmbedding, at
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import read_noise
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

NAMES = {what: name for what, name in classic.LLAMA.items() if what != "eps"}
NAMES |= {"dropout": "hidden_dropout_prob", "attention_dropout": "attention_probs_dropout_prob"}


def spec(c: Config) -> Spec:
    read_noise(c, "layerdrop")
    if c.take("layer_norm_eps", float, 1e-12) <= 0:  # its norms have 1e-5 all the same
        raise c.error("layer_norm_eps", "must be above zero")
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 1024)
    norm, dropout = Spec(LayerNorm), c.take("hidden_dropout_prob", float, 0.1)
    attention = classic.attention(c, dim, names=NAMES, rate=0.1)
    inner = c.take("activation_dropout", float, 0.0)
    mlp = classic.mlp(c, names=NAMES, act="gelu", dropout=inner)
    scale = dim**0.5 if c.take("scale_embedding", bool, True) else 1.0
    embedding, stem = (
        Spec(TokenEmbedding, scale=scale),
        classic.learned(context, offset=2, dropout=dropout),
    )
    layer = pre_norm(norm, attention, mlp, dropout=dropout)
    return decoder(c, layer, norm, dim, context, embedding=embedding, stem=stem)


def config(s: Spec) -> dict[str, Any]:
    return classic.write(s, NAMES) | {
        "activation_dropout": at(s, "layers.0.mlp").keywords["dropout"],
        "scale_embedding": at(s, "embedding").keywords["scale"] != 1.0,
    }


KEYS = Keys(
    *classic.fairseq("biogpt.", "layer_norm", "output_projection"),
    ("biogpt.embed_positions.weight", "stem.weight"),
    optional="biogpt.",
)

FAMILY = Family("biogpt", ("BioGptForCausalLM",), spec, config, KEYS)
