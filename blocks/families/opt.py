"""OPT and Galactica: pre-norm layers with learnt positions; OPT-350m norms after them.

Zhang et al., 2022, arXiv:2205.01068; Taylor et al., "Galactica", 2022, arXiv:2211.09085.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, LMHead, Spec, TokenEmbedding, at
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, layer
from blocks.families._dialects import read_noise
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

NAMES = classic.LLAMA | {"activation": "activation_function", "hidden": "ffn_dim"}
NAMES |= {"dropout": "dropout"}


def spec(c: Config) -> Spec:
    for noise in ("layerdrop", "activation_dropout"):
        read_noise(c, noise)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    affine = c.take("layer_norm_elementwise_affine", bool, True)
    norm, bias = Spec(LayerNorm, weight=affine, bias=affine), c.take("enable_bias", bool, True)
    before = c.take("do_layer_norm_before", bool, True)
    last = None if c.take("_remove_final_layer_norm", bool, False) or not before else norm
    around = {"norm_in" if before else "norm_after": norm, "dropout": c.take("dropout", float, 0.1)}
    attention = classic.attention(c, dim, names=NAMES, bias=bias)
    each = layer(attention, classic.mlp(c, names=NAMES, act="relu", bias=bias), **around)
    width = c.take("word_embed_proj_dim", int, dim)
    parts = {"embedding": TokenEmbedding, "head": LMHead}
    ends = {n: Spec(part, width=None if width == dim else width) for n, part in parts.items()}
    return decoder(c, each, last, dim, context, stem=classic.learned(context, offset=2), **ends)


def config(s: Spec) -> dict[str, Any]:
    steps = s.keywords["layers"][0].keywords["steps"]
    before, after = (steps["mlp"].keywords[norm] for norm in ("norm_in", "norm_after"))
    own = {
        "_remove_final_layer_norm": bool(before) and s.keywords["norm"] is None,
        "do_layer_norm_before": bool(before),
        "enable_bias": at(s, "layers.0.attention").keywords["bias"],
        "layer_norm_elementwise_affine": (before or after).keywords["bias"],
        "word_embed_proj_dim": at(s, "head").keywords["width"] or s.keywords["dim"],
    }
    return classic.write(s, NAMES, without="eps") | own


KEYS = Keys(
    *classic.fairseq("model.decoder.", "final_layer_norm"),
    ("model.decoder.embed_positions.weight", "stem.weight"),
    ("model.decoder.project_in.weight", "embedding.project.weight"),
    ("model.decoder.project_out.weight", "head.project.weight"),
    optional="model.",
)

FAMILY = Family("opt", ("OPTForCausalLM",), spec, config, KEYS)
