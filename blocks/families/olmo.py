"""OLMo: LLaMA whose layer norms have no weights, with queries, keys and values clipped.

Groeneveld et al., "OLMo", 2024, arXiv:2402.00838.
"""

from __future__ import annotations

from typing import Any

from blocks import Clip, LayerNorm, QKNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._llama import KEYS
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(LayerNorm, eps=1e-5, weight=False, bias=False)
    cap = c.take("clip_qkv", float, None)
    clip = None if cap is None else Spec(Clip, cap=cap)
    qk = () if clip is None else (Spec(QKNorm, norm=clip),)
    options = {"bias": c.take("attention_bias", bool, False), "values": clip}
    attention = common.attention(c, dim, *qk, read_rope(c, context), **options)
    layer = common.pre_norm(norm, attention, common.gated_mlp(c))
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention = at(s, "layers.0.attention").keywords
    own = {
        "attention_bias": attention["bias"],
        "clip_qkv": attention["values"].keywords["cap"] if attention["values"] else None,
    }
    return common.write_decoder(s, eps=None) | common.write_mlp(at(s, "layers.0.mlp")) | own


FAMILY = Family("olmo", ("OlmoForCausalLM",), spec, config, KEYS)
