"""Hunyuan-A13B: Hunyuan's dense model with experts, and beside them one that every token passes.

Tencent Hunyuan Team, "Hunyuan-A13B", 2025; Sun et al., "Hunyuan-Large", 2024, arXiv:2411.02265.
"""

from __future__ import annotations

from typing import Any

from blocks import MoE, SoftmaxRouter, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import count
from blocks.families._hunyuan import QK_KEYS, read_hunyuan, write_hunyuan
from blocks.families._layers import check_depth
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    depth, expert = count(c, "num_hidden_layers"), common.gated_mlp(c)
    experts = count(c, "num_experts", 1, aliases=("num_local_experts",))
    chosen = c.take("moe_topk", int | tuple[int, ...], 1, aliases=("num_experts_per_tok",))
    chosen = (chosen,) * depth if isinstance(chosen, int) else chosen
    check_depth(c, "moe_topk", chosen, depth)
    said = {"num_shared_expert": 1, "moe_intermediate_size": expert.keywords["hidden"]}
    for name, one in said.items():
        c.only(name, one, [one] * depth)
    parts = {"expert": expert, "router": Spec(SoftmaxRouter), "shared": expert}
    moes = {k: Spec(MoE, experts=experts, top_k=k, **parts) for k in set(chosen)}
    return read_hunyuan(c, moes, chosen)


def config(s: Spec) -> dict[str, Any]:
    moe = common.write_moe(at(s, "layers.0.mlp"), experts="num_experts", top_k="moe_topk")
    chosen = [at(layer, "mlp").keywords["top_k"] for layer in s.keywords["layers"]]
    return write_hunyuan(s) | moe | ({"moe_topk": chosen} if len(set(chosen)) > 1 else {})


KEYS = Keys(
    *common.DECODER_KEYS,
    *QK_KEYS,
    ("model.layers.{i}.mlp.gate.wg.weight", "layers.{i}.mlp.router.weight"),
    *common.MOE_KEYS,
    *common.gated_keys("shared_mlp.", "shared."),
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("hunyuan_v1_moe", ("HunYuanMoEV1ForCausalLM",), spec, config, KEYS)
