"""OLMo 2: norms of what each branch finds, and of queries and keys over all heads together.

OLMo Team, "2 OLMo 2 Furious", 2024, arXiv:2501.00656.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5), cast="after")
    qk = (Spec(QKNorm, norm=norm, over="all"), read_rope(c, context))
    attention = common.attention(c, dim, *qk, bias=c.take("attention_bias", bool, False))
    layer = common.layer(attention, common.gated_mlp(c), norm_out=norm)
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    biases = {"attention_bias": at(s, "layers.0.attention").keywords["bias"]}
    return common.write_decoder(s) | common.write_mlp(at(s, "layers.0.mlp")) | biases


KEYS = Keys(
    *common.END_KEYS,
    *common.QKV_KEYS,
    *common.QK_NORM_KEYS,
    *common.OUT_NORM_KEYS,
    *common.GATED_MLP_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("olmo2", ("Olmo2ForCausalLM",), spec, config, KEYS)
