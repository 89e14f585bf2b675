"""Griffin's layers: which of them remember and which see a window, and the names of both."""

from __future__ import annotations

import struct
from typing import Any

from blocks import RGLRU, Activation, CausalConv, GatedMixer, Spec, Window
from blocks.families import _decoder as common
from blocks.families._dialects import count
from blocks.families._hybrids import check_attends, kinds_of, options_of
from blocks.families._layers import check_depth, check_words
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.keys import Keys

_KINDS = {"attention": "attention", "recurrent": "mixer"}  # their word, our address
_PATTERN = ("recurrent", "recurrent", "attention")


def rounded(value: float) -> float:
    """The nearest bfloat16, found without torch: commands that only look do without it."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    bits += 0x7FFF + (bits >> 16 & 1)  # to even where two are as near
    return struct.unpack("<f", struct.pack("<I", bits & 0xFFFF0000))[0]


def read_kinds(c: Config) -> tuple[str, ...]:
    """The address of what comes first in each layer: a pattern that is repeated says it."""
    depth = count(c, "num_hidden_layers")
    said = c.take("block_types", tuple[str, ...], None, aliases=("_block_types",))
    check_words(c, "block_types", said or (), _KINDS)
    if said is not None and not 0 < len(said) <= depth:
        check_depth(c, "block_types", said, depth)
    pattern = said or _PATTERN
    kinds = tuple(_KINDS[pattern[i % len(pattern)]] for i in range(depth))
    check_attends(c, "block_types", kinds)
    return kinds


def write_kinds(s: Spec) -> dict[str, Any]:
    """The field that `read_kinds` is read from: the shortest pattern that gives all layers."""
    words = {ours: theirs for theirs, ours in _KINDS.items()}
    said = [words[kind] for kind in kinds_of(s)]
    periods = range(1, len(said) + 1)
    period = next(n for n in periods if all(said[i] == said[i % n] for i in range(len(said))))
    return {"block_types": said[:period]}


def read_attention(c: Config, dim: int) -> Spec:
    """Attention to a window, whose queries and keys turn by half."""
    window = c.take("attention_window_size", int, 2048)
    rope = read_rope(c, window, rotated=0.5)
    if rope.keywords["scaling"] is not None:
        new = c.data.get("rope_parameters") is not None
        name = "rope_parameters" if new else "rope_scaling"
        raise c.error(name, "is a stretching; no such model has one")
    bias = c.take("attention_bias", bool, False)
    return common.attention(c, dim, rope, bias=bias, out_bias=True, mask=Window(window))


def read_mixer(c: Config, dim: int, act: Activation) -> Spec:
    """The recurrent block."""
    heads, inner = c.take("num_attention_heads", int), c.take("lru_width", int, dim)
    conv = Spec(CausalConv, kernel=c.take("conv1d_width", int, 4))
    if inner % heads:
        raise c.error("num_attention_heads", f"{heads} heads don't divide lru_width {inner}")
    return Spec(
        GatedMixer, steps={"conv": conv, "lru": Spec(RGLRU, heads=heads)}, inner=inner, act=act
    )


def write_mixer(s: Spec) -> dict[str, Any]:
    """The fields that `read_mixer` is read from, but for the activation and heads."""
    options = options_of(s)
    if options is None:
        return {}
    kernel = options["steps"]["conv"].keywords["kernel"]
    return {"conv1d_width": kernel, "lru_width": options["inner"]}


_THEIRS = "model.layers.{i}.temporal_block."
_OURS = {"attention": "layers.{i}.attention.", "mixer": "layers.{i}.mixer."}
_MIXER = {
    "linear_x.{w}": "up.{w}",
    "linear_y.{w}": "gate.{w}",
    "linear_out.{w}": "down.{w}",
    "conv_1d.{w}": "conv.{w}",
    "rg_lru.recurrent_param": "lru.decay",
    "rg_lru.recurrent_gate_{w}": "lru.decay_gate.{w}",
    "rg_lru.input_gate_{w}": "lru.input_gate.{w}",
}
KEYS = Keys(
    *common.END_KEYS,
    ("model.final_norm.{w}", "norm.{w}"),
    *((_THEIRS + f"{p}_proj.{{w}}", _OURS["attention"] + p + ".{w}") for p in "qkv"),
    (_THEIRS + "o_proj.{w}", _OURS["attention"] + "out.{w}"),
    *((_THEIRS + theirs, _OURS["mixer"] + ours) for theirs, ours in _MIXER.items()),
    *(("model.layers.{i}.temporal_pre_norm.{w}", ours + "norm_in.{w}") for ours in _OURS.values()),
    ("model.layers.{i}.channel_pre_norm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    *(
        (f"model.layers.{{i}}.mlp_block.{part}_proj.{{w}}", f"layers.{{i}}.mlp.{part}.{{w}}")
        for part in ("gate", "up", "down")
    ),
)
