"""Falcon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects._common import head_width, line, rope, sizes
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Grouped, Line

_SECOND = "blk.0.attn_norm_2.weight"  # attention and MLP have a norm each


def config(f: Facts) -> dict[str, Any]:
    found = sizes(f, "layer_norm_epsilon") | rope(f, head_width(f))
    found["ffn_hidden_size"] = found.pop("intermediate_size")
    kv_heads = found.pop("num_key_value_heads")
    newer = _SECOND in f.tensors
    alone = {"num_kv_heads": kv_heads} if newer or kv_heads > 1 else {}
    return (
        found
        | alone
        | {
            "alibi": False,
            "bias": "blk.0.attn_qkv.bias" in f.tensors,
            "multi_query": kv_heads == 1 and not newer,
            "new_decoder_architecture": newer,
            "parallel_attn": True,
        }
    )


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    held, theirs = "blk.{i}.", "transformer.h.{i}."
    newer = fields["new_decoder_architecture"]
    groups = Grouped(fields["num_attention_heads"], fields.get("num_kv_heads", 1))
    norms = {"attn_norm": "ln_mlp", "attn_norm_2": "ln_attn"} if newer else {}
    norms = norms or {"attn_norm": "input_layernorm"}
    names = {
        "attn_output": "self_attention.dense",
        "ffn_up": "mlp.dense_h_to_4h",
        "ffn_down": "mlp.dense_4h_to_h",
    } | norms
    return (
        line("token_embd.weight", "transformer.word_embeddings.weight"),
        line("output_norm.{w}", "transformer.ln_f.{w}"),
        line("output.weight", "lm_head.weight"),
        line(held + "attn_qkv.{w}", theirs + "self_attention.query_key_value.{w}", groups),
        *(line(f"{held}{a}.{{w}}", f"{theirs}{b}.{{w}}") for a, b in names.items()),
    )


DIALECT = Dialect("falcon", config, lines)
