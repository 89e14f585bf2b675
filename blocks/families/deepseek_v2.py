"""DeepSeek-V2 and V2-Lite: latent attention, and many small experts beside shared ones.

DeepSeek-AI, "DeepSeek-V2", 2024, arXiv:2405.04434.
"""

from __future__ import annotations

from typing import Any

from blocks import SoftmaxRouter, Spec
from blocks.families import _decoder as common
from blocks.families import _deepseek as deepseek
from blocks.families._layers import moe_of
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZES = deepseek.Sizes(context=2048, dense=11_008, expert=1407, experts=64, shared=2, first=0)
_LIMITED = "group_limited_greedy"


def _router(c: Config) -> Spec:
    c.only("scoring_func", "softmax")
    c.only("norm_topk_prob", False)
    c.only("topk_method", "greedy", _LIMITED)
    groups, kept = (c.take(name, int, 1) for name in ("n_group", "topk_group"))
    limited = c.data.get("topk_method") == _LIMITED
    return Spec(
        SoftmaxRouter,
        renormalize=False,
        groups=groups if limited else 1,
        kept_groups=kept if limited else 1,
        scale=c.take("routed_scaling_factor", float, 1.0),
    )


def spec(c: Config) -> Spec:
    return deepseek.spec(c, _SIZES, _router, bias=c.take("mlp_bias", bool, False))


def config(s: Spec) -> dict[str, Any]:
    moe = moe_of(s).keywords
    return deepseek.write(s) | {
        "mlp_bias": moe["shared"].keywords["bias"],
        "topk_method": "greedy" if moe["router"].keywords["groups"] == 1 else _LIMITED,
    }


KEYS = Keys(*deepseek.KEYS, ignore=common.ROTARY_TABLES)

FAMILY = Family("deepseek_v2", ("DeepseekV2ForCausalLM",), spec, config, KEYS)
