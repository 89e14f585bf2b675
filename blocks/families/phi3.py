"""Phi-3, 3.5 and 4: LLaMA with fused projections, a window, and LongRoPE for long contexts.

Abdin et al., "Phi-3 technical report", 2024, arXiv:2404.14219; "Phi-4", 2024, arXiv:2412.08905.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_window
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys


def spec(c: Config) -> Spec:
    for name in ("attention_bias", "mlp_bias", "lm_head_bias"):  # Phi-4-mini says all of these
        c.only(name, False)
    for name in ("full_attn_mod", "interpolate_factor"):
        c.only(name, 1)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    rope = read_rope(c, context, rotated=1.0, trained=4096)
    attention = common.attention(c, dim, rope, mask=read_window(c))
    dropout = c.take("resid_pdrop", float, 0.0)
    layer = common.pre_norm(norm, attention, common.gated_mlp(c), dropout=dropout)
    embedding = Spec(TokenEmbedding, dropout=c.take("embd_pdrop", float, 0.0))
    return common.decoder(c, layer, norm, dim, context, embedding=embedding)


def config(s: Spec) -> dict[str, Any]:
    own = {
        "embd_pdrop": at(s, "embedding").keywords["dropout"],
        "resid_pdrop": s.keywords["layers"][0].keywords["steps"]["mlp"].keywords["dropout"],
    }
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s) | mlp | common.write_mask(s) | own


_QKV = tuple(f"layers.{{i}}.attention.{part}.weight" for part in "qkv")

KEYS = Keys(
    *common.END_KEYS,
    *common.PRE_NORM_KEYS,
    Join("model.layers.{i}.self_attn.qkv_proj.weight", _QKV),
    *common.FUSED_MLP_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("phi3", ("Phi3ForCausalLM",), spec, config, KEYS)
