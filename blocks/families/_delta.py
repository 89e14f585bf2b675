"""Layers of a gated delta net between those of attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blocks import GatedDeltaNet, GatedRMSNorm, OutputGate, QKNorm, RMSNorm, Spec
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation
from blocks.families._hybrids import build_layers, check_attends, kinds_of, options_of
from blocks.families._layers import attentions, moe_of, read_kinds
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.keys import Join, Keys, Rule

_SIZE, _SHARED = "moe_intermediate_size", "shared_expert_intermediate_size"
_KINDS = ("full_attention", "linear_attention")

_MIXER, _OURS = "model.layers.{i}.linear_attn.", "layers.{i}.mixer."
_WIDE, _NARROW = ("q", "k", "v", "gate"), ("beta", "dt")
# What stands before a mixer, and the parts of it that nobody fuses.
_KEYS = (
    *common.END_KEYS,
    *common.QKV_KEYS[1:],
    *common.PRE_NORM_KEYS,
    *common.QK_NORM_KEYS,
    *common.GATED_MLP_KEYS,
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.mixer.norm_in.{w}"),
    Join(_MIXER + "conv1d.weight", tuple(f"{_OURS}{part}_conv.weight" for part in "qkv")),
    (_MIXER + "A_log", _OURS + "a_log"),
    (_MIXER + "dt_bias", _OURS + "dt_bias"),
    (_MIXER + "norm.weight", _OURS + "norm.weight"),
    (_MIXER + "out_proj.weight", _OURS + "out.weight"),
)


def read_places(c: Config, period: int) -> list[str]:
    """The address of what comes first in each layer: in each nth attention, where no list says."""
    linear = read_kinds(c, "layer_types", _KINDS, lambda i: (i + 1) % period != 0)
    kinds = ["mixer" if one else "attention" for one in linear]
    check_attends(c, "num_hidden_layers", kinds, f", as each {period}th may")
    return kinds


def read_delta(
    c: Config, eps: float, *, heads: int, value_heads: int, head_dim: int, value_dim: int
) -> Spec:
    """The delta net.

    Args:
        c: the reader.
        eps: of the norm of what is read.
        heads: what a config means that doesn't say them, as all that follow.
        value_heads: heads of values.
        head_dim: width of the others.
        value_dim: width of those.
    """
    return Spec(
        GatedDeltaNet,
        heads=c.take("linear_num_key_heads", int, heads),
        head_dim=c.take("linear_key_head_dim", int, head_dim),
        value_heads=c.take("linear_num_value_heads", int, value_heads),
        value_dim=c.take("linear_value_head_dim", int, value_dim),
        kernel=c.take("linear_conv_kernel_dim", int, 4),
        act=read_activation(c),
        norm=Spec(GatedRMSNorm, eps=eps, gate_first=False),
    )


def read_experts(c: Config, router: Spec, experts: int, top_k: int) -> Spec:
    """The mixture, beside whose experts all tokens pass one that is weighed by a gate.

    Args:
        c: the reader.
        router: slot of what chooses.
        experts: what a config means that doesn't count them.
        top_k: the same of how many a token goes to.
    """
    shared = {"shared": common.gated_mlp(c, size=_SHARED, hidden=512), "shared_gate": True}
    return common.moe(c, router, experts, top_k=top_k, size=_SIZE, hidden=512, **shared)


def write_experts(s: Spec) -> dict[str, Any]:
    """The fields that `read_experts` is read from."""
    moe = moe_of(s)
    shared = {_SHARED: moe.keywords["shared"].keywords["hidden"]}
    return common.write_moe(moe, experts="num_experts", size=_SIZE) | shared


def read(c: Config, mlps: Sequence[Spec], *, kv_heads: int) -> Spec:
    """The model, of Qwen's delta nets and gated attention, given the MLP of each layer.

    Args:
        c: the reader.
        mlps: one for each layer.
        kv_heads: what a config means that doesn't say them.
    """
    _read_same(c)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    eps, bias = c.take("rms_norm_eps", float, 1e-6), c.take("attention_bias", bool, False)
    norm = Spec(RMSNorm, eps=eps, offset=1.0, cast="after")
    if rope := c.inner("rope_parameters"):  # which channels turn by height and width of images
        rope.take("mrope_section", tuple[int, ...], None)
        rope.take("mrope_interleaved", bool, None)
    qk = (Spec(QKNorm, norm=norm), read_rope(c, context, rotated=0.25))
    options: dict[str, Any] = {"bias": bias, "gate": Spec(OutputGate, bias=bias)}
    attention = common.attention(c, dim, *qk, kv_heads=kv_heads, head_dim=256, **options)
    mixer = read_delta(c, eps, heads=16, value_heads=32, head_dim=128, value_dim=128)
    kinds = read_places(c, c.take("full_attention_interval", int, 4))
    layers = build_layers(norm, {"attention": attention, "mixer": mixer}, mlps, kinds)
    return common.decoder(c, layers, norm, dim, context)


def _read_same(c: Config) -> None:
    """What all published models say alike, and what concerns another model in their files."""
    c.only("use_sliding_window", False)
    c.only("attn_output_gate", True)
    c.only("output_gate_type", "swish", "silu")
    c.only("mamba_ssm_dtype", "float32")  # of what a delta net remembers
    c.take("mtp_num_hidden_layers", int, 0, low=0)
    c.take("mtp_use_dedicated_embeddings", bool, False)


def write_delta(s: Spec) -> dict[str, Any]:
    """The fields that `read_places` and `read_delta` are read from, but for activation and eps."""
    kinds = [_KINDS[kind == "mixer"] for kind in kinds_of(s)]
    fields: dict[str, Any] = {"layer_types": kinds}
    delta = options_of(s)
    if delta is not None:
        fields |= {
            "linear_conv_kernel_dim": delta["kernel"],
            "linear_key_head_dim": delta["head_dim"],
            "linear_num_key_heads": delta["heads"],
            "linear_num_value_heads": delta["value_heads"],
            "linear_value_head_dim": delta["value_dim"],
        }
    return fields


def write(s: Spec) -> dict[str, Any]:
    """The fields that `read` is read from."""
    bias = attentions(s)[0].keywords["bias"]
    return common.write_decoder(s, head_dim=True) | write_delta(s) | {"attention_bias": bias}


def keys(s: Spec, *more: tuple[str, str] | Rule) -> Keys:
    """The table of a model whose queries lie with their gates, and `more` of its tensors."""
    heads, ours = attentions(s)[0].keywords["heads"], "layers.{i}.attention."
    gated = (ours + "q.{w}", ours + "gate.{w}")
    q = Join("model.layers.{i}.self_attn.q_proj.{w}", gated, groups=heads)
    return Keys(q, *_KEYS, *more, ignore=common.ROTARY_TABLES, apart=("mtp.",))


def fused(s: Spec) -> tuple[Rule, ...]:
    """What of a delta net Qwen3-Next fuses, a key head and all that it serves at a time."""
    options = options_of(s)
    if options is None:
        return ()
    pairs = (("in_proj_qkvz.weight", _WIDE), ("in_proj_ba.weight", _NARROW))
    return tuple(
        Join(_MIXER + theirs, tuple(f"{_OURS}{part}.weight" for part in ours), options["heads"])
        for theirs, ours in pairs
    )


def apart() -> tuple[tuple[str, str] | Rule, ...]:
    """The same where Qwen3.5 fuses queries, keys and values alone."""
    named = {"in_proj_z": "gate", "in_proj_b": "beta", "in_proj_a": "dt"}
    rest = ((f"{_MIXER}{t}.weight", f"{_OURS}{ours}.weight") for t, ours in named.items())
    qkv = tuple(f"{_OURS}{part}.weight" for part in _WIDE[:3])
    return (Join(_MIXER + "in_proj_qkv.weight", qkv), *rest)
