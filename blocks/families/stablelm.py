"""StableLM: LLaMA with layer norms, RoPE on a quarter, and biases on q, k and v.

Bellagente et al., "Stable LM 2 1.6B technical report", 2024, arXiv:2402.17834.
"""

from __future__ import annotations

from typing import Any

from blocks import Chain, LayerNorm, QKNorm, Spec, at
from blocks.families import _classic as classic
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.only("rotary_scaling_factor", 1.0)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5, aliases=("norm_eps",)))
    rope, bias = read_rope(c, context, rotated=0.25), c.take("use_qkv_bias", bool, False)
    each = Spec(LayerNorm, eps=norm.keywords["eps"], bias=False)
    normed = (Spec(QKNorm, norm=each, over="each"),) if c.take("qk_layernorm", bool, False) else ()
    attention = common.attention(c, dim, *normed, rope, bias=bias, out_bias=False, kv_heads=32)
    wiring = classic.parallel if c.take("use_parallel_residual", bool, False) else common.pre_norm
    dropout = c.take("hidden_dropout", float, 0.0)
    layer = wiring(norm, attention, common.gated_mlp(c), dropout=dropout)
    return common.decoder(c, layer, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    attention, layer = at(s, "layers.0.attention").keywords, s.keywords["layers"][0]
    residual = layer.keywords["steps"]["mlp"] if layer.func is Chain else layer
    own = {
        "hidden_dropout": residual.keywords["dropout"],
        "partial_rotary_factor": attention["qk"][-1].keywords["rotated"],
        "qk_layernorm": attention["qk"][0].func is QKNorm,
        "use_parallel_residual": layer.func is not Chain,
        "use_qkv_bias": attention["bias"],
    }
    fields = common.write_decoder(s, eps="layer_norm_eps")
    return fields | common.write_mlp(at(s, "layers.0.mlp")) | own


_THEIRS = "model.layers.{i}.self_attn."
_NORMED = (
    (_THEIRS + "q_layernorm.norms.{e}.weight", "layers.{i}.attention.qk.0.q.{e}.weight"),
    (_THEIRS + "k_layernorm.norms.{e}.weight", "layers.{i}.attention.qk.0.k.{e}.weight"),
)


def keys(s: Spec) -> Keys:
    beside = (("model.layers.{i}.input_layernorm.{w}", "layers.{i}.norm_in.{w}"),)
    own = _NORMED if s.keywords["layers"][0].func is Chain else (*_NORMED, *beside)
    return Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, *own, ignore=common.ROTARY_TABLES)


FAMILY = Family("stablelm", ("StableLmForCausalLM",), spec, config, keys)
