"""GPT-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects._common import line, sizes
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Flipped, Line

MATRICES = {
    "attn_qkv": "attn.c_attn",
    "attn_output": "attn.c_proj",
    "ffn_up": "mlp.c_fc",
    "ffn_down": "mlp.c_proj",
}
NORMS = {"attn_norm": "ln_1", "ffn_norm": "ln_2"}


ENDS = (
    line("token_embd.weight", "transformer.wte.weight"),
    line("position_embd.weight", "transformer.wpe.weight"),
    line("output_norm.{w}", "transformer.ln_f.{w}"),
    line("output.weight", "lm_head.weight"),
)


def config(f: Facts, kv_heads: int | None = None) -> dict[str, Any]:
    found = sizes(f, "layer_norm_epsilon")
    f.meta.only("attention.head_count_kv", kv_heads or found["num_attention_heads"])
    return {
        "n_embd": found["hidden_size"],
        "n_layer": found["num_hidden_layers"],
        "n_head": found["num_attention_heads"],
        "n_inner": found["intermediate_size"],
        "n_positions": found["max_position_embeddings"],
        **{k: found[k] for k in ("vocab_size", "tie_word_embeddings", "layer_norm_epsilon")},
    }


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    held, theirs = "blk.{i}.", "transformer.h.{i}."
    return (
        *ENDS,
        *(line(f"{held}{a}.{{w}}", f"{theirs}{b}.{{w}}") for a, b in NORMS.items()),
        *(line(f"{held}{a}.weight", f"{theirs}{b}.weight", Flipped()) for a, b in MATRICES.items()),
        *(line(f"{held}{a}.bias", f"{theirs}{b}.bias") for a, b in MATRICES.items()),
    )


DIALECT = Dialect("gpt2", config, lines)
