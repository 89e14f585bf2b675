"""What trains in a model with adapters, as config.json says it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from blocks.arguments import near_words
from blocks.hub.config import Config
from blocks.models.adapters import (
    adapted_matrices,
    is_adapted,
    start_adapters,
    train_adapters,
    trainable,
)
from blocks.spec import Spec

__all__: list[str] = []


def trains_json(model: Any) -> list[str]:
    """The addresses of what trains beside adapters, as far as it is parameters of the model."""
    inside = {f"{address}." for address in adapted_matrices(model)}
    small = {f"{at}{kind}" for at in inside for kind in ("a.weight", "b.weight", "magnitude")}
    return [address for address in trainable(model) if address not in small]


def settle_adapters(model: Any, config: Config, drawn: Collection[str]) -> None:
    """Freezes what doesn't train; adapters that the file doesn't hold change nothing.

    Errors:
        ConfigError: what shall train is no parameter of the model.
    """
    spec: Spec = model.spec
    if not is_adapted(spec):
        return
    start_adapters(model, drawn, new=False)
    model.requires_grad_(True)
    known, said = trainable(model), config.data.get("trains", [])
    for address in said if isinstance(said, list) else [said]:
        if address not in known:
            reason = f"{address!r} is no parameter of the model"
            raise config.error("trains", reason, near_words(address, known))
    train_adapters(model, said)
