"""MiMo-V2's two attentions: one sees everything, one a window alone, with sinks and twice as many
key heads. In both, values have a width of their own and are scaled.
"""

from __future__ import annotations

from typing import Any

from blocks import Scale, Spec, Window, at, replace
from blocks.families import _decoder as common
from blocks.families._dialects import read_or_null
from blocks.families._layers import read_flags, read_slides, write_slides
from blocks.families._ropes import read_ropes, write_ropes
from blocks.hub.config import Config

_ROTATED = 0.334
# What published files say once more of the layers with a window.
_SIZES = {
    "swa_num_attention_heads": "heads",
    "swa_num_key_value_heads": "kv_heads",
    "swa_head_dim": "head_dim",
    "swa_v_head_dim": "value_dim",
}


def read_attentions(c: Config, dim: int, context: int) -> tuple[Spec, ...]:
    """The attention of each layer."""
    rope, local = read_ropes(c, context, 5e6, "swa_rope_theta", rotated=_ROTATED)
    scale = read_or_null(c, "attention_value_scale", 0.707, float)
    options = {
        "value_dim": c.take("v_head_dim", int, 128),
        "values": None if scale is None else Spec(Scale, scale=scale),
        "bias": c.take("attention_bias", bool, False),
        "out_bias": False,
    }
    full = common.attention(c, dim, rope, kv_heads=4, head_dim=192, **options)
    pairs = 2 * full.keywords["kv_heads"]
    mask = Window(_read_window(c))
    sliding = replace(full, kv_heads=pairs, qk=(local,), mask=mask, sinks=True)
    for name, ours in _SIZES.items():
        c.only(name, sliding.keywords[ours])
    c.only("add_swa_attention_sink_bias", True)
    c.only("add_full_attention_sink_bias", False)
    flags = read_flags(c, "hybrid_layer_pattern")
    slides = read_slides(c, lambda i: flags[i] if flags else i > 0 and (i + 1) % 6 != 0)
    return tuple(sliding if one else full for one in slides)


def _read_window(c: Config) -> int:
    """Published files count the tokens before a query, and say the same as `sliding_window`."""
    c.take("attention_chunk_size", int, None)
    c.only("hybrid_block_size", None)
    size, before = c.take("sliding_window", int, 129), c.take("sliding_window_size", int, None)
    return size if before is None else before + 1


def write_attentions(s: Spec) -> dict[str, Any]:
    """The fields that `read_attentions` is read from, and those of the whole model."""
    attention = at(s, "layers.0.attention").keywords
    values = attention["values"]
    own = {
        "attention_bias": attention["bias"],
        "attention_value_scale": values.keywords["scale"] if values else None,
        "num_key_value_heads": attention["kv_heads"] // (2 if attention["sinks"] else 1),
        "v_head_dim": attention["value_dim"],
    }
    rope = write_ropes(s, rotated=_ROTATED)
    return common.write_decoder(s, head_dim=True, rope=rope) | write_slides(s) | own
