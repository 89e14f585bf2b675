"""BLOOM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects._common import line, sizes
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Grouped, Line

_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_output": "self_attention.dense",
    "ffn_norm": "post_attention_layernorm",
    "ffn_up": "mlp.dense_h_to_4h",
    "ffn_down": "mlp.dense_4h_to_h",
}


def config(f: Facts) -> dict[str, Any]:
    found = sizes(f, "layer_norm_epsilon")
    heads = found["num_attention_heads"]
    f.meta.only("attention.head_count_kv", heads)
    f.meta.only("feed_forward_length", 4 * found["hidden_size"])
    names = ("hidden_size", "vocab_size", "tie_word_embeddings", "layer_norm_epsilon")
    sizes_ = {"n_layer": found["num_hidden_layers"], "n_head": heads}
    return sizes_ | {name: found[name] for name in names}


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    held, theirs, heads = "blk.{i}.", "transformer.h.{i}.", fields["n_head"]
    fused = theirs + "self_attention.query_key_value.{w}"
    return (
        line("token_embd.weight", "transformer.word_embeddings.weight"),
        line("token_embd_norm.{w}", "transformer.word_embeddings_layernorm.{w}"),
        line("output_norm.{w}", "transformer.ln_f.{w}"),
        line("output.weight", "lm_head.weight"),
        line(held + "attn_qkv.{w}", fused, Grouped(heads, heads)),
        *(line(f"{held}{a}.{{w}}", f"{theirs}{b}.{{w}}") for a, b in _PARTS.items()),
    )


DIALECT = Dialect("bloom", config, lines)
