"""LLaMA, Mistral and Mixtral, and what is built like them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects._common import (
    GATED,
    LAYER,
    attention,
    ends,
    head_width,
    line,
    norms,
    rope,
    sizes,
)
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line

_PARTS = {"gate": "w1", "up": "w3", "down": "w2"}


def _has_experts(f: Facts) -> bool:
    return f.meta.take("expert_count", int, 0, low=0) > 0


def config(f: Facts) -> dict[str, Any]:
    width = head_width(f)
    found = sizes(f) | rope(f, width) | {"head_dim": width}
    if _has_experts(f):
        found["num_local_experts"] = f.meta.take("expert_count", int)
        found["num_experts_per_tok"] = f.meta.take("expert_used_count", int)
    else:
        f.meta.only("expert_used_count", 0)
        found["attention_bias"] = "blk.0.attn_output.bias" in f.tensors
        found["mlp_bias"] = "blk.0.ffn_gate.bias" in f.tensors
    return found


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    mlp = GATED
    if _has_experts(f):
        expert = LAYER + "block_sparse_moe.experts.{e}."
        mlp = (
            line("blk.{i}.ffn_gate_inp.weight", LAYER + "block_sparse_moe.gate.weight"),
            *(
                line(f"blk.{{i}}.ffn_{part}{form}.weight", f"{expert}{name}.weight")
                for part, name in _PARTS.items()
                for form in ("_exps", ".{e}")
            ),
        )
    return (*ends(), *norms(), *attention(fields, turned=True), *mlp)


DIALECT = Dialect(
    lambda f: "mixtral" if _has_experts(f) else "llama",
    config,
    lines,
    ignore=("rope_freqs.weight",),
)
