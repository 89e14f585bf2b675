"""GPT-NeoX and Pythia."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects._common import head_width, line, rope, sizes
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Grouped, Line

_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_output": "attention.dense",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.dense_h_to_4h",
    "ffn_down": "mlp.dense_4h_to_h",
}


def config(f: Facts) -> dict[str, Any]:
    found = sizes(f, "layer_norm_eps") | rope(f, head_width(f), part="rotary_pct")
    f.meta.only("attention.head_count_kv", found.pop("num_key_value_heads"))
    parallel = f.meta.take("use_parallel_residual", bool, True)
    return found | {"use_parallel_residual": parallel}


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    held, theirs = "blk.{i}.", "gpt_neox.layers.{i}."
    heads = fields["num_attention_heads"]
    return (
        line("token_embd.weight", "gpt_neox.embed_in.weight"),
        line("output_norm.{w}", "gpt_neox.final_layer_norm.{w}"),
        line("output.weight", "embed_out.weight"),
        line(
            held + "attn_qkv.{w}", theirs + "attention.query_key_value.{w}", Grouped(heads, heads)
        ),
        *(line(f"{held}{a}.{{w}}", f"{theirs}{b}.{{w}}") for a, b in _NAMES.items()),
    )


DIALECT = Dialect("gpt_neox", config, lines)
