"""Fields that many families share, read and written."""

from __future__ import annotations

from typing import Any

from blocks.hub.config import Config

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "linear": "identity",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
_WRITTEN = {ours: theirs for theirs, ours in _ACTIVATIONS.items() if theirs != "swish"} | {
    "gelu_tanh": "gelu_new"
}


def read_activation(c: Config, name: str = "hidden_act", default: str = "silu") -> Any:
    """Our name of an activation."""
    theirs = c.take(name, str, default)
    if theirs not in _ACTIVATIONS:
        raise c.error(name, f"{theirs!r} is not known", f"known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[theirs]


def write_activation(ours: str) -> str:
    """The reference's name of an activation."""
    return _WRITTEN[ours]


def read_head_dim(c: Config, dim: int, heads: int) -> int:
    """head_dim, or dim / heads where the config says nothing."""
    given = c.take("head_dim", int, None)
    if given is None and dim % heads:
        raise c.error("num_attention_heads", f"{heads} heads don't divide hidden_size {dim}")
    return given or dim // heads
