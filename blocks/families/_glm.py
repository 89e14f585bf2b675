"""What GLM's families share: in the dense ones half of the channels turn, in adjacent pairs, and
the MLP is fused; those with experts have DeepSeek-V3's, and may norm queries and keys.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._layers import write_first_dense
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.keys import Keys


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


def read_glm_moe(
    c: Config, *, hidden: int, first: int, rotated: float | None, head_dim: int | None, theta: float
) -> Spec:
    """The model with experts.

    Args:
        c: the reader.
        hidden: what a config means that doesn't say the size of an expert.
        first: the same of how many layers are dense.
        rotated: the same of the share of channels that turn; None where all must.
        head_dim: the same; None is dim / heads.
        theta: the same.
    """
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 131_072)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    norms = (Spec(QKNorm, norm=norm),) if c.take("use_qk_norm", bool, False) else ()
    qk = (*norms, read_rope(c, context, theta=theta, rotated=rotated))
    options = {"bias": c.take("attention_bias", bool, False), "out_bias": False}
    attention = common.attention(c, dim, *qk, kv_heads=8, head_dim=head_dim, **options)
    moe = experts.read_experts(c, experts.read_router(c), 128, hidden=hidden)
    mlps = experts.read_mlps(c, moe, first, hidden=10_944)
    layers = common.pre_norms(norm, attention, mlps)
    return common.decoder(c, layers, norm, dim, context)


def write_glm_moe(s: Spec) -> dict[str, Any]:
    """The fields that `read_glm_moe` is read from."""
    attention = at(s, "layers.0.attention").keywords
    own = {
        "attention_bias": attention["bias"],
        "partial_rotary_factor": attention["qk"][-1].keywords["rotated"],
        "use_qk_norm": len(attention["qk"]) > 1,
    }
    moe = experts.write_experts(s) | experts.write_router(s) | write_first_dense(s)
    return common.write_decoder(s, head_dim=True) | moe | own


def glm_moe_keys(s: Spec) -> Keys:
    """The tensor names of the model with experts."""
    return Keys(
        *common.DECODER_KEYS,
        *common.QK_NORM_KEYS,
        *experts.KEYS,
        ignore=common.ROTARY_TABLES,
        appended=experts.next_model(s),
    )
