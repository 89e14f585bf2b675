"""Aria's language model: LLaMA with experts, and beside them what every token passes.

Li et al., "Aria", 2024, arXiv:2410.05993.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, TopKRouter, at, replace
from blocks.families import _decoder as common
from blocks.families._dialects import write_activation
from blocks.families._llama import read_llama
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys, Stack


def spec(c: Config) -> Spec:
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    moe, bias = common.moe(c, Spec(TopKRouter), experts=8), c.take("mlp_bias", bool, False)
    expert = moe.keywords["expert"]
    together = expert.keywords["hidden"] * c.take("moe_num_shared_experts", int, 2)
    shared = replace(expert, hidden=together, bias=bias)
    # The experts have it whatever hidden_act says.
    moe = replace(moe, expert=replace(expert, act="silu"), shared=shared)
    return read_llama(c, norm, moe, context=2048)


def config(s: Spec) -> dict[str, Any]:
    moe, attention = at(s, "layers.0.mlp"), at(s, "layers.0.attention").keywords
    fields = common.write_moe(moe, experts="moe_num_experts", top_k="moe_topk")
    shared = moe.keywords["shared"].keywords
    own = {
        "attention_bias": attention["bias"],
        "hidden_act": write_activation(shared["act"]),
        "mlp_bias": shared["bias"],
        "moe_num_shared_experts": shared["hidden"] // fields["intermediate_size"],
    }
    return common.write_decoder(s) | fields | own


_OURS = "layers.{i}.mlp.experts.{e}"
_IN, _OUT = (f"{_OURS}.gate.weight", f"{_OURS}.up.weight"), (f"{_OURS}.down.weight",)
_EXPERTS = "model.layers.{i}.mlp.experts"
KEYS = Keys(
    *common.DECODER_KEYS,
    ("model.layers.{i}.mlp.router.weight", "layers.{i}.mlp.router.weight"),
    Stack(f"{_EXPERTS}.fc1.weight", _IN, transposed=True),
    Stack(f"{_EXPERTS}.fc2.weight", _OUT, transposed=True),
    Stack(f"{_EXPERTS}.gate_up_proj", _IN, transposed=True),
    Stack(f"{_EXPERTS}.down_proj", _OUT, transposed=True),
    *common.gated_keys("shared_experts.", "shared."),
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("aria_text", ("AriaTextForCausalLM",), spec, config, KEYS)
