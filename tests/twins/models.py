"""A language model out of the twins of its parts, for blocks that ask one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tests.twins.facts import Facts
from tests.twins.mlps import Params, under

Part = Callable[..., Any]


def causal_lm(
    p: Params,
    tokens: Tensor,
    *,
    facts: Facts,
    embedding: Part,
    layers: tuple[Part, ...],
    norm: Part,
    head: Part,
    **nothing: Any,
) -> Tensor:
    x = embedding(under(p, "embedding"), tokens)
    for n, layer in enumerate(layers):
        x = layer(under(p, f"layers.{n}"), x, facts=facts)
    return head(under(p, "head"), norm(under(p, "norm"), x))
