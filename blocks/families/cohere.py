"""Command R: attention and MLP side by side, layer norms without biases, and scaled logits.

Cohere, "Command R" and "Command R+", 2024; Aya 23: Aryabumi et al., 2024, arXiv:2405.15032.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, LMHead, Parallel, QKNorm, Residual, Spec, at, replace
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5), bias=False)
    normed = Spec(QKNorm, norm=replace(norm, weight=False), gain=True)
    qk = (normed,) if c.take("use_qk_norm", bool, False) else ()
    rope = read_rope(c, context, theta=5e5, pairing="adjacent")
    bias = c.take("attention_bias", bool, False)
    attention = common.attention(c, dim, *qk, rope, bias=bias)
    head = Spec(LMHead, scale=c.take("logit_scale", float, 0.0625))
    layer = beside(norm, attention, common.gated_mlp(c))
    return common.decoder(c, layer, norm, dim, context, head=head)


def beside(norm: Spec, attention: Spec, mlp: Spec) -> Spec:
    """x + attention(norm x) + mlp(norm x)."""
    both = Spec(Parallel, branches={"attention": attention, "mlp": mlp})
    return Spec(Residual, inner=both, norm_in=norm)


def config(s: Spec) -> dict[str, Any]:
    attention = at(s, "layers.0.attention").keywords
    own = {
        "attention_bias": attention["bias"],
        "logit_scale": at(s, "head").keywords["scale"],
        "use_qk_norm": any(part.func is QKNorm for part in attention["qk"]),
    }
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, eps="layer_norm_eps") | mlp | own


KEYS = Keys(
    *common.END_KEYS,
    *common.QKV_KEYS,
    *common.PARALLEL_KEYS,
    ("model.layers.{i}.self_attn.q_norm.weight", "layers.{i}.attention.qk.0.q_gain"),
    ("model.layers.{i}.self_attn.k_norm.weight", "layers.{i}.attention.qk.0.k_gain"),
    *common.GATED_MLP_KEYS,
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("cohere", ("CohereForCausalLM",), spec, config, KEYS)
