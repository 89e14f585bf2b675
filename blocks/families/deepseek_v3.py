"""DeepSeek-V3 and R1: DeepSeek-V2 with sigmoid routing, a correction for balance, and fp8 files.

DeepSeek-AI, "DeepSeek-V3", 2024, arXiv:2412.19437; "DeepSeek-R1", 2025, arXiv:2501.12948.
"""

from __future__ import annotations

from typing import Any

from blocks import SigmoidRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families import _deepseek as deepseek
from blocks.hub.config import Config
from blocks.hub.dequantise import fp8, read_fp8
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZES = deepseek.Sizes(
    context=4096, dense=18_432, expert=2048, experts=256, shared=1, first=3, top_k=8, kv_heads=128
)


def _router(c: Config) -> Spec:
    c.only("scoring_func", "sigmoid")
    c.only("topk_method", "noaux_tc")
    return Spec(
        SigmoidRouter,
        renormalize=c.take("norm_topk_prob", bool, True),
        groups=c.take("n_group", int, 8),
        kept_groups=c.take("topk_group", int, 4),
        scale=c.take("routed_scaling_factor", float, 2.5),
    )


def spec(c: Config) -> Spec:
    read_fp8(c)
    return deepseek.spec(c, _SIZES, _router, adjacent=c.take("rope_interleave", bool, True))


def config(s: Spec) -> dict[str, Any]:
    router = deepseek.experts(s)["router"].keywords
    rope = at(s, "layers.0.attention").keywords["qk"][-1]
    return deepseek.write(s) | {
        "n_group": router["groups"],
        "norm_topk_prob": router["renormalize"],
        "rope_interleave": rope.keywords["pairing"] == "adjacent",
        "routed_scaling_factor": router["scale"],
        "topk_group": router["kept_groups"],
    }


def keys(s: Spec) -> Keys:
    """Layers beyond the depth belong to the model that predicts one token further."""
    after = ("model.layers.{i}.eh_proj.weight", len(s.keywords["layers"]))
    both = (*deepseek.KEYS, *fp8(deepseek.MATRIX_KEYS))
    return Keys(*both, ignore=common.ROTARY_TABLES, appended=after)


FAMILY = Family("deepseek_v3", ("DeepseekV3ForCausalLM",), spec, config, keys)
