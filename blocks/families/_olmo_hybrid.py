"""OLMo Hybrid's delta nets and attention, and the names of their tensors."""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, Spec, replace
from blocks.families import _decoder as common
from blocks.families import _delta as delta
from blocks.families._hybrids import options_of
from blocks.families._layers import attentions
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import Config

_EPS = 1e-5  # of the norm of what a delta net reads
_FRESH = ("a_log_max", "a_log_min", "dt_init_floor", "dt_max", "dt_min")
_NEGATIVE = "linear_allow_neg_eigval"
_NONE = {"rope_theta": None, "rope_type": "default"}


def read_mixer(c: Config, dim: int, heads: int) -> Spec:
    """The delta net, whose tokens may turn round what their keys stand for."""
    for name in _FRESH:  # how fresh layers begin
        if c.take(f"linear_{name}", float, 0.0) < 0:
            raise c.error(f"linear_{name}", "is below zero")
    width = int(0.75 * dim / c.take("linear_num_key_heads", int, heads))
    width = c.take("linear_key_head_dim", int, max(1, width))
    sizes = {"value_heads": heads, "head_dim": width, "value_dim": 2 * width}
    mixer = delta.read_delta(c, _EPS, heads=heads, **sizes)
    return replace(mixer, strength=2.0 if c.take(_NEGATIVE, bool, True) else 1.0)


def read_attention(c: Config, dim: int, context: int, norm: Spec) -> Spec:
    """The attention, without positions where a file says that θ is null."""
    said = c.data.get("rope_parameters")
    none = (said if isinstance(said, dict) else c.data).get("rope_theta", 0.0) is None
    if none:
        c.assume(rope_theta=10_000.0)  # by which nothing turns
    rope = read_rope(c, context)
    qk = (Spec(QKNorm, norm=norm, over="all"), *(() if none else (rope,)))
    return common.attention(c, dim, *qk, bias=c.take("attention_bias", bool, False))


def write_layers(s: Spec) -> dict[str, Any]:
    """The fields of all but the MLPs."""
    attention, mixer = attentions(s)[0].keywords, options_of(s) or {}
    rope = write_rope(s) if len(attention["qk"]) > 1 else {"rope_parameters": _NONE}
    own = {
        "attention_bias": attention["bias"],
        _NEGATIVE: mixer.get("strength", 2.0) == 2.0,
    }
    return common.write_decoder(s, rope=rope) | delta.write_delta(s) | own


_LINEAR = {f"{part}_proj": part for part in "qkv"} | {f"{p}_conv1d": f"{p}_conv" for p in "qkv"}
_LINEAR |= {"a_proj": "dt", "b_proj": "beta", "g_proj": "gate", "o_proj": "out", "o_norm": "norm"}
_MIXER, _OURS = "model.layers.{i}.linear_attn.", "layers.{i}.mixer."
MIXER_KEYS = (
    *((f"{_MIXER}{theirs}.weight", f"{_OURS}{ours}.weight") for theirs, ours in _LINEAR.items()),
    (_MIXER + "A_log", _OURS + "a_log"),
    (_MIXER + "dt_bias", _OURS + "dt_bias"),
    ("model.layers.{i}.attention_layer_norm.weight", "layers.{i}.mixer.norm_in.weight"),
    ("model.layers.{i}.input_layernorm.weight", "layers.{i}.mixer.norm_in.weight"),
    ("model.layers.{i}.feedforward_layer_norm.weight", "layers.{i}.mlp.norm_in.weight"),
    ("model.layers.{i}.post_attention_layernorm.weight", "layers.{i}.mlp.norm_in.weight"),
    # The reference saves a norm of what attention finds by this name too.
    ("model.layers.{i}.feedforward_layer_norm.weight", "layers.{i}.attention.norm_out.weight"),
)
