"""DeepSeek-V3 and R1: DeepSeek-V2 with sigmoid routing, a correction for balance, and fp8 files.

DeepSeek-AI, "DeepSeek-V3", 2024, arXiv:2412.19437; "DeepSeek-R1", 2025, arXiv:2501.12948.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _decoder as common
from blocks.families import _deepseek as deepseek
from blocks.families._experts import next_model, read_router
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZES = deepseek.Sizes(
    context=4096,
    dense=18_432,
    expert=2048,
    experts=256,
    shared=1,
    first=3,
    top_k=8,
    latent={"kv_heads": 128},
)


def spec(c: Config) -> Spec:
    adjacent = c.take("rope_interleave", bool, True)
    return deepseek.spec(c, _SIZES, _router, adjacent=adjacent)


def _router(c: Config) -> Spec:
    return read_router(c, groups=8, kept_groups=4, scale=2.5)


def config(s: Spec) -> dict[str, Any]:
    return deepseek.write(s) | deepseek.write_pairing(s)


def keys(s: Spec) -> Keys:
    return Keys(*deepseek.KEYS, ignore=common.ROTARY_TABLES, appended=next_model(s))


FAMILY = Family(
    "deepseek_v3",
    ("DeepseekV3ForCausalLM",),
    spec,
    config,
    keys,
    shortest={"num_attention_heads": 128},
)
