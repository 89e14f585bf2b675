"""Sizes that can't be, that don't fit each other, or that the weights deny."""

from __future__ import annotations

from functools import partial
from typing import Any

from blocks import CheckpointError
from tests.gallery.cases.config_text import refused, say, says
from tests.gallery.harness import Case

SIZES = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "vocab_size",
)
REQUIRED = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
)
NO_SIZE: dict[str, tuple[Any, str]] = {
    "zero": (0, r"^0 is not between 1 and"),
    "below zero": (-1, r"^-1 is not between 1 and"),
    "a fraction": (16.5, r"^16\.5 is not int"),
    "a float": (16.0, r"^16\.0 is not int"),
    "a word": ("16", r"^'16' is not int"),
    "true": (True, r"^True is not int"),
    "a list": ([16], r"^\[16\] is not int"),
    "an object": ({"size": 16}, r"is not int"),
    "2^63": (2**63, r"is not between 1 and 2\^47"),
    "of 400 digits": (10**400, r"is not between 1 and 2\^47"),
}
K, Q, UP = (
    f"model.layers.0.{name}.weight"
    for name in ("self_attn.k_proj", "self_attn.q_proj", "mlp.gate_proj")
)
denied = partial(Case, error=CheckpointError)

CASES = [
    *(
        refused(f"{field} {name}", say(field, value), field, reason)
        for field in SIZES
        for name, (value, reason) in NO_SIZE.items()
    ),
    *(
        refused(f"{field} missing", says(field), field, r"^this field is missing")
        for field in REQUIRED
    ),
    *(
        refused(f"{field} null", say(field, None), field, r"^this field is missing")
        for field in REQUIRED
    ),
    # That don't fit each other.
    refused("three heads", say("num_attention_heads", 3), "num_attention_heads", r"don't divide"),
    refused(
        "three key heads", say("num_key_value_heads", 3), "num_key_value_heads", r"4 .* 3 kv_heads"
    ),
    refused(
        "more key heads", say("num_key_value_heads", 8), "num_key_value_heads", r"4 .* 8 kv_heads"
    ),
    refused("heads of odd width", say("head_dim", 3), "head_dim", r"3, which don't form pairs"),
    refused("heads too narrow", say("num_attention_heads", 16), ".*", r"1, which don't form pairs"),
    refused("no width of a head", say("head_dim", 0), "head_dim", r"0 is not between"),
    # That nothing can hold.
    refused(
        "all sizes beyond counting",
        says(hidden_size=2**46, intermediate_size=2**46, head_dim=2**46),
        "",
        r"more values than can be counted",
    ),
    *(
        refused(f"{layers} layers", say("num_hidden_layers", layers), "num_hidden_layers", reason)
        for layers, reason in (
            (22, r"^asks for 22 layers, the weights are 21 tensors"),
            (2000, r"^asks for 2000 layers, the weights are 21 tensors"),
            (10**6, r"^1000000 is more than 10000"),
            (2**46, r"is more than 10000"),
        )
    ),
    # That the weights deny: the tensor, what is wrong with it, and the field that would fit it.
    *(
        denied(f"{field} {value}", say(field, value), reason=wrong, tensor=tensor, hint=hint)
        for field, value, tensor, wrong, hint in (
            (
                "hidden_size",
                32,
                r"model.embed_tokens.weight",
                r"is \[32, 16\], not \[32, 32\]",
                r"hidden_size = 16",
            ),
            (
                "hidden_size",
                8,
                r"model.embed_tokens.weight",
                r"is \[32, 16\], not \[32, 8\]",
                r"hidden_size = 16",
            ),
            ("hidden_size", 10**9, r"model.embed_tokens.weight", r"not \[32, 1000000000\]", None),
            (
                "intermediate_size",
                28,
                UP,
                r"is \[24, 16\], not \[28, 16\]",
                r"intermediate_size = 24",
            ),
            ("intermediate_size", 10**9, UP, r"not \[1000000000, 16\]", r"intermediate_size = 24"),
            ("vocab_size", 31, r"model.embed_tokens.weight", r"not \[31, 16\]", r"vocab_size = 32"),
            ("vocab_size", 33, r"model.embed_tokens.weight", r"not \[33, 16\]", r"vocab_size = 32"),
            (
                "vocab_size",
                10**9,
                r"model.embed_tokens.weight",
                r"not \[1000000000, 16\]",
                r"vocab_size = 32",
            ),
            (
                "num_key_value_heads",
                1,
                K,
                r"is \[8, 16\], not \[4, 16\]",
                r"num_key_value_heads = 2",
            ),
            (
                "num_key_value_heads",
                4,
                K,
                r"is \[8, 16\], not \[16, 16\]",
                r"num_key_value_heads = 2",
            ),
            ("num_key_value_heads", None, K, r"is \[8, 16\], not \[16, 16\]", None),
            ("head_dim", 8, Q, r"is \[16, 16\], not \[32, 16\]", r"head_dim = 4"),
            ("head_dim", 10**9, Q, r"is \[16, 16\], not \[4000000000, 16\]", r"head_dim = 4"),
            (
                "num_hidden_layers",
                1,
                r"model.layers.1.*",
                r"not used by the model: .*layers.1",
                r"holds 2 layers",
            ),
            (
                "num_hidden_layers",
                3,
                r"model.layers.2.*",
                r"missing: model.layers.2",
                r"holds 2 layers",
            ),
            (
                "num_hidden_layers",
                20,
                r"model.layers.2.*",
                r"missing: model.layers.\{2-19\}",
                r"2 layers",
            ),
            ("attention_bias", True, r".*q_proj.bias", r"missing: .*q_proj.bias", None),
            ("mlp_bias", True, r".*gate_proj.bias", r"missing: .*gate_proj.bias", None),
        )
    ),
]
