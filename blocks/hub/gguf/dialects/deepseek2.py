"""DeepSeek-V2, V3 and R1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import _common as common
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line, Merged

_SIGMOID = 2
# Groups of experts, and how many are looked into: of published models whose older files don't say
# them, by the number of experts and the way of choosing.
_GROUPS = {(160, 1): (8, 3), (256, _SIGMOID): (8, 4)}
_PARTS = {
    "attn_q": "self_attn.q_proj",
    "attn_q_a": "self_attn.q_a_proj",
    "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm",
    "attn_kv_b": "self_attn.kv_b_proj",
    "attn_output": "self_attn.o_proj",
    **{f"ffn_{part}_shexp": f"mlp.shared_experts.{part}_proj" for part in ("gate", "up", "down")},
}
_APART = ("blk.{i}.attn_k_b.weight", "blk.{i}.attn_v_b.weight")


def config(f: Facts) -> dict[str, Any]:
    m = f.meta
    found = common.sizes(f)
    heads, turned = found["num_attention_heads"], m.take("rope.dimension_count", int)
    m.only("attention.head_count_kv", 1, heads)
    width, value = (
        m.take(f"attention.{part}_length_mla", int, m.take(f"attention.{part}_length", int))
        for part in ("key", "value")
    )
    found |= {
        "num_key_value_heads": heads,
        "kv_lora_rank": m.take("attention.kv_lora_rank", int),
        "q_lora_rank": m.take("attention.q_lora_rank", int, None),
        "qk_nope_head_dim": width - turned,
        "qk_rope_head_dim": turned,
        "v_head_dim": value,
    }
    return found | _experts(f) | _rope(f)


def _experts(f: Facts) -> dict[str, Any]:
    m = f.meta
    choice = m.take("expert_gating_func", int, 1)
    count = m.take("expert_count", int)
    groups, kept = _GROUPS.get((count, choice), (1, 1))
    groups, kept = (
        m.take("expert_group_count", int, groups),
        m.take("expert_group_used_count", int, kept),
    )
    dense = m.take("leading_dense_block_count", int, 0, low=0)
    found = {
        "n_routed_experts": count,
        "num_experts_per_tok": m.take("expert_used_count", int),
        "n_shared_experts": m.take("expert_shared_count", int, 0, low=0),
        "moe_intermediate_size": m.take("expert_feed_forward_length", int),
        "routed_scaling_factor": m.take("expert_weights_scale", float, 1.0),
        "norm_topk_prob": m.take("expert_weights_norm", bool, False),
        "first_k_dense_replace": dense,
        "n_group": groups,
        "topk_group": kept,
    }
    if choice != _SIGMOID:
        return found | {"topk_method": "group_limited_greedy" if groups > 1 else "greedy"}
    if not any(name.endswith(".exp_probs_b.bias") for name in f.tensors):
        raise m.error("expert_gating_func", "is sigmoid without corrections, which no family is")
    return found


def _rope(f: Facts) -> dict[str, Any]:
    log = f.meta.take("rope.scaling.yarn_log_multiplier", float, None)
    found = {"rope_theta": f.meta.take("rope.freq_base", float, 10_000.0)} | common.scaling(f)
    if log is not None and "rope_scaling" in found:
        one = round(10 * log, 6)  # stored as the factor of the logarithm
        found["rope_scaling"] |= {"mscale": one, "mscale_all_dim": one}
    return found


def family(f: Facts) -> str:
    """Which of the two, by how experts are chosen."""
    sigmoid = f.meta.take("expert_gating_func", int, 1) == _SIGMOID
    return "deepseek_v3" if sigmoid else "deepseek_v2"


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    line, layer = common.line, common.LAYER
    return (
        *common.ends(),
        *common.norms(),
        *(line(f"blk.{{i}}.{held}.{{w}}", f"{layer}{t}.{{w}}") for held, t in _PARTS.items()),
        Line(_APART, layer + "self_attn.kv_b_proj.weight", Merged()),
        *common.GATED,
        *common.EXPERTS,
        line("blk.{i}.exp_probs_b.bias", layer + "mlp.gate.e_score_correction_bias"),
    )


DIALECT = Dialect(family, config, lines)
