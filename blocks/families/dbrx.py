"""DBRX: layer norms without biases, clipped queries, keys and values, and experts in every layer.

Databricks, "Introducing DBRX", 2024.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, Spec, at
from blocks.families import _classic as classic
from blocks.families import _decoder as common
from blocks.families._dbrx import Flat, read_attention, read_experts, write_attention, write_experts
from blocks.families._dialects import count, read_noise
from blocks.families._rope import write_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("d_model", int), c.take("max_seq_len", int, 2048)
    read_noise(c, "emb_pdrop")  # which the reference never makes
    norm, dropout = Spec(LayerNorm, bias=False), c.take("resid_pdrop", float, 0.0)
    attention, moe = read_attention(c, dim, context), read_experts(c)
    layer = common.pre_norm(norm, attention, moe, dropout=dropout)
    return common.decoder(c, (layer,) * count(c, "n_layers"), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention, whole, rope = at(s, "layers.0.attention").keywords, s.keywords, write_rope(s)
    own = {
        "d_model": whole["dim"],
        "max_seq_len": rope.pop("max_position_embeddings"),
        "n_heads": attention["heads"],
        "n_layers": len(whole["layers"]),
        "resid_pdrop": whole["layers"][0].keywords["steps"]["mlp"].keywords["dropout"],
        "vocab_size": whole["vocab"],
    }
    moe = at(s, "layers.0.mlp").keywords
    return own | rope | write_attention(attention) | write_experts(moe)


_LAYER, _EXPERTS = "transformer.blocks.{i}.", "transformer.blocks.{i}.ffn.experts.mlp."
_OURS = "layers.{i}.mlp.experts.{e}."
KEYS = Keys(
    ("transformer.wte.weight", "embedding.weight"),
    ("lm_head.weight", "head.weight"),
    (_LAYER + "norm_attn_norm.norm_1.weight", "layers.{i}.attention.norm_in.weight"),
    Join(_LAYER + "norm_attn_norm.attn.Wqkv.{w}", classic.QKV),
    (_LAYER + "norm_attn_norm.attn.out_proj.weight", "layers.{i}.attention.out.weight"),
    (_LAYER + "norm_attn_norm.norm_2.weight", "layers.{i}.mlp.norm_in.weight"),
    (_LAYER + "ffn.router.layer.weight", "layers.{i}.mlp.router.weight"),
    Flat(_EXPERTS + "w1", (_OURS + "gate.weight",)),
    Flat(_EXPERTS + "v1", (_OURS + "up.weight",)),
    Flat(_EXPERTS + "w2", (_OURS + "down.weight",), transposed=True),
    ("transformer.norm_f.weight", "norm.weight"),
)

FAMILY = Family("dbrx", ("DbrxForCausalLM",), spec, config, KEYS, ties=())
