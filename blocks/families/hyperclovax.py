"""HyperCLOVA X SEED: Granite with norms of what each branch finds, and logits that are multiplied.

NAVER Cloud, "HyperCLOVA X THINK", 2025, arXiv:2506.22403.
"""

from __future__ import annotations

from typing import Any

from blocks import LMHead, RMSNorm, Spec, TokenEmbedding, at, replace
from blocks.families import _decoder as common
from blocks.families._granite import read_factor, write_granite
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    bias = c.take("attention_bias", bool, False)
    attention = common.attention(c, dim, read_rope(c, context), bias=bias)
    usual = attention.keywords["head_dim"] ** -0.5
    attention = replace(attention, scale=c.take("attention_multiplier", float, usual))
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False))
    around = {
        "norm_out": norm if c.take("use_post_norm", bool, True) else None,
        "scale": read_factor(c, "residual_multiplier"),
    }
    layer = common.pre_norm(norm, attention, mlp, **around)
    embedding = Spec(TokenEmbedding, scale=read_factor(c, "embedding_multiplier"))
    head = Spec(LMHead, scale=read_factor(c, "logits_scaling"))
    return common.decoder(c, layer, norm, dim, context, embedding=embedding, head=head)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    own = {
        "logits_scaling": at(s, "head").keywords["scale"],
        "mlp_bias": mlp.keywords["bias"],
        "use_post_norm": s.keywords["layers"][0].keywords["steps"]["mlp"].keywords["norm_out"]
        is not None,
    }
    return write_granite(s) | common.write_mlp(mlp) | own


KEYS = Keys(
    *common.DECODER_KEYS,
    *common.GATED_MLP_KEYS,
    ("model.layers.{i}.post_norm1.{w}", "layers.{i}.attention.norm_out.{w}"),
    ("model.layers.{i}.post_norm2.{w}", "layers.{i}.mlp.norm_out.{w}"),
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("hyperclovax", ("HyperCLOVAXForCausalLM",), spec, config, KEYS)
