"""MiniCPM3: latent attention in layers whose scales let one learning rate serve every width.

Hu et al., "MiniCPM", OpenBMB, 2024, arXiv:2404.06395; Yang et al., "Tensor programs V", 2022,
arXiv:2203.03466.
"""

from __future__ import annotations

import math
from typing import Any

from blocks import LMHead, RMSNorm, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families import _deepseek as deepseek
from blocks.families import youtu
from blocks.families._dialects import count, read_or_null, roundest
from blocks.families._granite import read_factor
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    widths = {"q_rank": 768, "kv_rank": 256, "nope": 64, "rope_dim": 32}
    widths |= {"value": dim // c.take("num_attention_heads", int), "kv_heads": 40}
    attention = deepseek.latent(c, context, adjacent=False, **widths)
    root = math.sqrt(count(c, "num_hidden_layers"))
    scale = read_factor(c, "scale_depth", root if "scale_depth" in c.data else 1.4) / root
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False))
    layer = common.pre_norm(norm, attention, mlp, scale=scale)
    embedding = Spec(TokenEmbedding, scale=c.take("scale_emb", float, 12.0))
    head = Spec(LMHead, scale=(read_or_null(c, "dim_model_base", 256) or dim) / dim)
    return common.decoder(c, layer, norm, dim, context, embedding=embedding, head=head)


def config(s: Spec) -> dict[str, Any]:
    mlp, whole = at(s, "layers.0.mlp"), s.keywords
    scale = whole["layers"][0].keywords["steps"]["mlp"].keywords["scale"]
    root = math.sqrt(len(whole["layers"]))
    own = {
        "dim_model_base": round(at(s, "head").keywords["scale"] * whole["dim"]),
        "mlp_bias": mlp.keywords["bias"],
        "scale_depth": roundest(scale * root, lambda n: n / root == scale),
        "scale_emb": at(s, "embedding").keywords["scale"],
    }
    return deepseek.write_latent(s) | common.write_mlp(mlp) | own


FAMILY = Family(
    "minicpm3",
    ("MiniCPM3ForCausalLM",),
    spec,
    config,
    youtu.KEYS,
    shortest={"num_attention_heads": 40},
)
