"""BERT's encoders of sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects._common import line, sizes
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line

_PARTS = {
    "attn_q": "attention.self.query",
    "attn_k": "attention.self.key",
    "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense",
    "attn_output_norm": "attention.output.LayerNorm",
    "ffn_up": "intermediate.dense",
    "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm",
}
ENDS = {
    "token_embd.weight": "word_embeddings.weight",
    "position_embd.weight": "position_embeddings.weight",
    "token_types.weight": "token_type_embeddings.weight",
    "token_embd_norm.{w}": "LayerNorm.{w}",
}


def config(f: Facts) -> dict[str, Any]:
    found = sizes(f, "layer_norm_eps")
    f.meta.only("attention.head_count_kv", found.pop("num_key_value_heads"))
    f.meta.only("attention.causal", False)
    del found["tie_word_embeddings"]
    return found | {
        "architectures": ["BertModel"],
        "max_position_embeddings": f.shape("position_embd.weight")[0],
        "type_vocab_size": f.shape("token_types.weight")[0],
    }


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    layer = "encoder.layer.{i}."
    return (
        *(line(a, f"embeddings.{b}") for a, b in ENDS.items()),
        *(line(f"blk.{{i}}.{a}.{{w}}", f"{layer}{b}.{{w}}") for a, b in _PARTS.items()),
    )


DIALECT = Dialect("bert", config, lines)
