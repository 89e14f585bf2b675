"""How Falcon's layers are arranged: three generations, told apart by four fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blocks import Chain, Spec, at
from blocks.families import _classic as classic
from blocks.families._decoder import pre_norm
from blocks.hub.config import Config


def read_arrangement(c: Config) -> tuple[Callable[..., Spec], int | None]:
    """The wiring of a layer, and its key heads: None for as many as heads."""
    given = c.take("num_kv_heads", int, None, aliases=("n_head_kv",))
    # Configs from before transformers had Falcon have the other name, and in the new one alone.
    new = c.take("new_decoder_architecture", bool, c.data.get("n_head_kv") is not None)
    one, beside = c.take("multi_query", bool, True), c.take("parallel_attn", bool, True)
    norms = c.take("num_ln_in_parallel_attn", int, 2 if new else 1)
    if new and not beside:
        raise c.error("parallel_attn", "false excludes new_decoder_architecture")
    if norms > (2 if new else 1):
        raise c.error("num_ln_in_parallel_attn", f"{norms} norms are not supported here")
    wiring = classic.apart if norms == 2 else classic.parallel
    return (wiring if beside else pre_norm), given if new else 1 if one else None


def write_arrangement(s: Spec) -> dict[str, Any]:
    """The fields that `read_arrangement` is read from."""
    attention, layer = at(s, "layers.0.attention").keywords, s.keywords["layers"][0]
    heads, kv_heads = attention["heads"], attention["kv_heads"]
    beside = layer.func is not Chain
    apart = beside and layer.keywords["norm_in"] is None
    new = apart or (beside and kv_heads not in (1, heads))
    return {
        "multi_query": kv_heads == 1,
        "new_decoder_architecture": new,
        "num_kv_heads": kv_heads if new else heads,
        "num_ln_in_parallel_attn": 1 + apart if new else None,
        "parallel_attn": beside,
    }


def norm_keys(s: Spec, layer: str) -> list[tuple[str, str]]:
    """The names of the norms of layers whose branches are side by side."""
    if s.keywords["layers"][0].func is Chain:
        return []
    return [
        (layer + "input_layernorm.{w}", "layers.{i}.norm_in.{w}"),
        (layer + "ln_attn.{w}", "layers.{i}.attention.norm_in.{w}"),
        (layer + "ln_mlp.{w}", "layers.{i}.mlp.norm_in.{w}"),
    ]
