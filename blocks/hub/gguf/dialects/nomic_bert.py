"""Nomic BERT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects import bert
from blocks.hub.gguf.dialects._common import head_width, line, rope, sizes
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line

_PARTS = {
    "attn_qkv.weight": "attn.Wqkv.weight",
    "attn_output.weight": "attn.out_proj.weight",
    "attn_output_norm.{w}": "norm1.{w}",
    "ffn_up.weight": "mlp.fc11.weight",
    "ffn_gate.weight": "mlp.fc12.weight",
    "ffn_down.weight": "mlp.fc2.weight",
    "layer_output_norm.{w}": "norm2.{w}",
}


def config(f: Facts) -> dict[str, Any]:
    found = sizes(f, "layer_norm_eps")
    f.meta.only("attention.head_count_kv", found.pop("num_key_value_heads"))
    f.meta.only("attention.causal", False)
    del found["tie_word_embeddings"]
    types = f.shape("token_types.weight")[0]
    own = {"architectures": ["NomicBertModel"], "type_vocab_size": types}
    return found | rope(f, head_width(f), 1000.0) | own


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    return (
        *(line(a, f"embeddings.{b}") for a, b in bert.ENDS.items() if "norm" not in a),
        line("token_embd_norm.{w}", "emb_ln.{w}"),
        *(line(f"blk.{{i}}.{a}", f"encoder.layers.{{i}}.{b}") for a, b in _PARTS.items()),
    )


DIALECT = Dialect("nomic_bert", config, lines)
