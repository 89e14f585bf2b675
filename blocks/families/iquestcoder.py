"""IQuest-Coder: LLaMA with eight key heads and heads 128 wide where a config doesn't say them.

IQuestLab, "IQuest-Coder-V1", 2026.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("clip_qkv", None)
    c.only("use_sliding_window", None, False)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    options = {"bias": c.take("attention_bias", bool, False), "kv_heads": 8, "head_dim": 128}
    attention = common.attention(c, dim, read_rope(c, context), **options)
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False))
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    mlp = at(s, "layers.0.mlp")
    biases = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "mlp_bias": mlp.keywords["bias"],
    }
    return common.write_decoder(s, head_dim=True) | common.write_mlp(mlp) | biases


KEYS = Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("iquestcoder", ("IQuestCoderForCausalLM", "LlamaForCausalLM"), spec, config, KEYS)
