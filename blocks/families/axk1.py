"""A.X K1: DeepSeek-V3 with a norm of what the experts find.

SK Telecom, "A.X K1 technical report", 2026, arXiv:2601.09200.
"""

from __future__ import annotations

from typing import Any

from blocks import MoE, Residual, Spec, at, replace, rewrite
from blocks.families import _decoder as common
from blocks.families import _deepseek as deepseek
from blocks.families._experts import read_router
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

_SIZES = deepseek.Sizes(
    context=32_768,
    dense=18_432,
    expert=2048,
    experts=192,
    shared=1,
    first=1,
    top_k=8,
    latent={"kv_heads": 64},
)


def spec(c: Config) -> Spec:
    adjacent = c.take("rope_interleave", bool, True)
    whole = deepseek.spec(c, _SIZES, _router, adjacent=adjacent)
    norm = at(whole, "norm")

    def after(branch: Spec) -> Spec:
        sparse = branch.keywords["inner"].func is MoE
        return replace(branch, norm_out=norm) if sparse else branch

    return rewrite(whole, Residual, after)


def _router(c: Config) -> Spec:
    return read_router(c, groups=8, kept_groups=4, scale=2.5)


def config(s: Spec) -> dict[str, Any]:
    return deepseek.write(s, listed=True) | deepseek.write_pairing(s)


_NORM = "model.layers.{i}.post_mlp_layernorm.weight"
KEYS = Keys(
    *deepseek.KEYS,
    (_NORM, "layers.{i}.mlp.norm_out.weight"),
    (_NORM.replace("post", "mlp.post"), "layers.{i}.mlp.norm_out.weight"),
    ignore=(*common.ROTARY_TABLES, _NORM),  # published dense layers have one that nothing reads
)

FAMILY = Family("axk1", ("AXK1ForCausalLM",), spec, config, KEYS)
