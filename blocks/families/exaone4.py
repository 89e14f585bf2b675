"""EXAONE 4: norms of what each branch finds, normed queries and keys, windows in most layers and
no positions in the others.

LG AI Research, "EXAONE 4.0", 2025, arXiv:2507.11407.
"""

from __future__ import annotations

from typing import Any

from blocks import QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_or_null
from blocks.families._layers import masks, read_slides, write_slides
from blocks.families._rope import read_rope, ropes
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    window = read_or_null(c, "sliding_window", 4096)
    pattern = c.take("sliding_window_pattern", int | str, 4, low=0) or 1  # a period, or LLLG

    def rule(i: int) -> bool:
        if isinstance(pattern, int):
            return window is not None and (i + 1) % pattern != 0
        return pattern[i % len(pattern)] == "L"

    slides = read_slides(c, rule)
    norms, rope, mlp = Spec(QKNorm, norm=norm), read_rope(c, context), common.gated_mlp(c)
    layers = []
    for mask, slide in zip(masks(c, slides, window), slides, strict=True):
        qk = (norms, rope) if slide or window is None else (norms,)
        attention = common.attention(c, dim, *qk, kv_heads=32, mask=mask)
        layers.append(common.layer(attention, mlp, norm_out=norm))
    return common.decoder(c, tuple(layers), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    slides, layers = write_slides(s), s.keywords["layers"]
    if len(ropes(layers)) == len(layers) and "sliding_attention" not in slides["layer_types"]:
        slides["sliding_window"] = None
    return common.write_decoder(s) | common.write_mlp(at(s, "layers.0.mlp")) | slides


_PARTS = (*common.QKV_KEYS, *common.QK_NORM_KEYS, *common.OUT_NORM_KEYS, *common.GATED_MLP_KEYS)
KEYS = Keys(*common.END_KEYS, *_PARTS, ignore=common.ROTARY_TABLES)

FAMILY = Family("exaone4", ("Exaone4ForCausalLM",), spec, config, KEYS)
