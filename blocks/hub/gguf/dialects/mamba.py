"""Mamba."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.hub.gguf.dialects._common import line
from blocks.hub.gguf.facts import Dialect, Facts
from blocks.hub.gguf.undo import Line, LogOfMinus, Unsqueezed

_PARTS = {
    "ssm_in.{w}": "in_proj.{w}",
    "ssm_conv1d.bias": "conv1d.bias",
    "ssm_x.weight": "x_proj.weight",
    "ssm_dt.{w}": "dt_proj.{w}",
    "ssm_d": "D",
    "ssm_out.{w}": "out_proj.{w}",
}


def config(f: Facts) -> dict[str, Any]:
    m, dim = f.meta, f.meta.take("embedding_length", int)
    inner = m.take("ssm.inner_size", int)
    for name in ("attention.head_count", "feed_forward_length"):
        m.only(name, 0)
    m.only("ssm.dt_b_c_rms", False)
    m.take("context_length", int, None)  # a state has no bound
    return {
        "hidden_size": dim,
        "num_hidden_layers": m.take("block_count", int),
        "intermediate_size": inner,
        "expand": inner // dim,
        "state_size": m.take("ssm.state_size", int),
        "conv_kernel": m.take("ssm.conv_kernel", int),
        "time_step_rank": m.take("ssm.time_step_rank", int),
        "layer_norm_epsilon": m.take("attention.layer_norm_rms_epsilon", float),
        "use_bias": "blk.0.ssm_in.bias" in f.tensors,
        "use_conv_bias": "blk.0.ssm_conv1d.bias" in f.tensors,
        "vocab_size": f.shape("token_embd.weight")[0],
        "tie_word_embeddings": "output.weight" not in f.tensors,
    }


def lines(f: Facts, fields: Mapping[str, Any]) -> tuple[Line, ...]:
    layer = "backbone.layers.{i}."
    return (
        line("token_embd.weight", "backbone.embeddings.weight"),
        line("output_norm.weight", "backbone.norm_f.weight"),
        line("output.weight", "lm_head.weight"),
        line("blk.{i}.attn_norm.weight", layer + "norm.weight"),
        *(line("blk.{i}." + a, f"{layer}mixer.{b}") for a, b in _PARTS.items()),
        line("blk.{i}.ssm_conv1d.weight", layer + "mixer.conv1d.weight", Unsqueezed(1)),
        line("blk.{i}.ssm_a", layer + "mixer.A_log", LogOfMinus()),
    )


DIALECT = Dialect("mamba", config, lines)
