"""GLM-4.7-Flash: the latent attention and the experts of DeepSeek-V3 in GLM's sizes.

GLM-4.5 Team, "GLM-4.5", 2025, arXiv:2508.06471.
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
    context=202_752,
    dense=10_240,
    expert=1536,
    experts=64,
    shared=1,
    first=1,
    top_k=4,
    eps=1e-5,
    latent={"kv_heads": 20, "q_rank": 768, "nope": 192, "value": 256},
)


def spec(c: Config) -> Spec:
    adjacent = c.take("rope_interleave", bool, True)
    return deepseek.spec(c, _SIZES, _router, adjacent=adjacent)


def _router(c: Config) -> Spec:
    return read_router(c, scale=1.8)


def config(s: Spec) -> dict[str, Any]:
    return deepseek.write(s, listed=True) | deepseek.write_pairing(s)


def keys(s: Spec) -> Keys:
    return Keys(*deepseek.KEYS, ignore=common.ROTARY_TABLES, appended=next_model(s))


FAMILY = Family(
    "glm4_moe_lite",
    ("Glm4MoeLiteForCausalLM",),
    spec,
    config,
    keys,
    shortest={"num_attention_heads": 20},
)
