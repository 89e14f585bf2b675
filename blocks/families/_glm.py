"""What GLM's families share: half of the channels turn, in adjacent pairs, and a fused MLP."""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config


def read_glm(c: Config, *around: str) -> Spec:
    """The model; `around` says where the norms of each branch are."""
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1.5625e-07))
    rope = read_rope(c, context, rotated=0.5, pairing="adjacent")
    options = {"bias": c.take("attention_bias", bool, True), "out_bias": False}
    attention = common.attention(c, dim, rope, kv_heads=2, head_dim=128, **options)
    layer = common.layer(attention, common.gated_mlp(c), **dict.fromkeys(around, norm))
    return common.decoder(c, layer, norm, dim, context)


def write_glm(s: Spec) -> dict[str, Any]:
    """The fields that `read_glm` is read from."""
    attention = at(s, "layers.0.attention").keywords
    own = {
        "attention_bias": attention["bias"],
        "partial_rotary_factor": attention["qk"][0].keywords["rotated"],
    }
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, head_dim=True) | mlp | own
