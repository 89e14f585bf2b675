"""OLMo 3: OLMo 2 with a window in three of four layers, whose RoPE is never stretched.

OLMo Team, "OLMo 3", Allen Institute for AI, 2025, arXiv:2512.13961.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families import olmo2
from blocks.families._dialects import read_or_null
from blocks.families._layers import masks, read_slides, write_slides
from blocks.families._ropes import read_ropes, write_ropes
from blocks.hub.config import Config
from blocks.hub.family import Family

_THETA = 5e5


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5), cast="after")
    full, local = read_ropes(c, context, _THETA)
    norms, mlp = Spec(QKNorm, norm=norm, over="all"), common.gated_mlp(c)
    bias = c.take("attention_bias", bool, False)
    slides = read_slides(c, lambda i: (i + 1) % 4 != 0)
    layers = []
    for mask, slide in zip(
        masks(c, slides, read_or_null(c, "sliding_window", 4096)), slides, strict=True
    ):
        qk = (norms, local if slide else full)
        attention = common.attention(c, dim, *qk, bias=bias, mask=mask)
        layers.append(common.layer(attention, mlp, norm_out=norm))
    return common.decoder(c, tuple(layers), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    # The reference takes another top-level theta for the layers without a window alone.
    rope = write_ropes(s, both=_THETA)
    biases = {"attention_bias": at(s, "layers.0.attention").keywords["bias"]}
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, rope=rope) | mlp | write_slides(s) | biases


FAMILY = Family("olmo3", ("Olmo3ForCausalLM",), spec, config, olmo2.KEYS)
