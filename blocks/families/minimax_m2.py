"""MiniMax-M2: Mixtral's names, queries and keys normed over all heads, and DeepSeek-V3's choice of
experts.

MiniMax, "MiniMax-M2", 2025; the choice: DeepSeek-AI, "DeepSeek-V3", 2024, arXiv:2412.19437.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, SigmoidRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import count, read_noise
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

# Fields of the models before it, and of models that predict further, of which no file has any.
_FIXED = {"qk_norm_type": "per_layer", "scoring_func": "sigmoid", "shared_intermediate_size": 0}
_FIXED |= dict.fromkeys(("use_qk_norm", "use_routing_bias"), True) | {"sliding_window": None}
_FIXED |= {f"layernorm_{kind}_beta": 1.0 for kind in ("full_attention", "linear_attention", "mlp")}
_UNUSED = ("use_mtp", "num_mtp_modules", "mtp_transformer_layers", "mlp_intermediate_size")


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 196_608)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    turned = c.take("rotary_dim", int, None)
    share = turned / c.take("head_dim", int, 128) if turned else 1.0
    qk = (Spec(QKNorm, norm=norm, over="all"), read_rope(c, context, theta=5e6, rotated=share))
    attention = common.attention(c, dim, *qk, kv_heads=8, head_dim=128)
    moe = common.moe(c, Spec(SigmoidRouter), 256, top_k=8, hidden=1536)
    read_noise(c, "router_jitter_noise")
    c.only("attn_type_list", [1] * count(c, "num_hidden_layers"))
    for name, value in _FIXED.items():
        c.only(name, value)
    for name in ("shared_moe_mode", *_UNUSED):
        c.take(name, Any, None)
    return common.decoder(c, common.pre_norm(norm, attention, moe), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    return common.write_decoder(s, head_dim=True) | common.write_moe(at(s, "layers.0.mlp"))


_MOE = "model.layers.{i}.block_sparse_moe.e_score_correction_bias"
KEYS = Keys(
    *common.DECODER_KEYS,
    *common.QK_NORM_KEYS,
    *common.EXPERT_KEYS,
    (_MOE, "layers.{i}.mlp.router.correction"),
    (_MOE.replace("block_sparse_moe", "mlp"), "layers.{i}.mlp.router.correction"),
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("minimax_m2", ("MiniMaxM2ForCausalLM",), spec, config, KEYS)
