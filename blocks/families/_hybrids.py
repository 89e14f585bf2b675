"""Layers of which some attend, and the others remember by a mixer of another kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks import Spec
from blocks.families._decoder import pre_norm
from blocks.families._dialects import parts
from blocks.hub.config import Config


def check_attends(c: Config, name: str, kinds: Sequence[str], more: str = "") -> None:
    """Refuses layers none of which attends, of which only attention says what its heads are.

    Args:
        c: the reader.
        name: the field to blame.
        kinds: the address of what comes first in each layer, `attention` or `mixer`.
        more: the end of the reason.
    """
    if "attention" not in kinds:
        raise c.error(name, f"none of {len(kinds)} layers has attention{more}")


def build_layers(
    norm: Spec, firsts: Mapping[str, Spec], mlps: Sequence[Spec], kinds: Sequence[str]
) -> tuple[Spec, ...]:
    """The layers, with a norm before every branch.

    Args:
        norm: slot of the norm.
        firsts: what comes first, by its address.
        mlps: what follows, for each layer.
        kinds: the address for each layer.
    """
    pairs = list(zip(kinds, mlps, strict=True))
    built = {(kind, mlp): pre_norm(norm, firsts[kind], mlp, kind) for kind, mlp in set(pairs)}
    return tuple(built[pair] for pair in pairs)


def kinds_of(s: Spec) -> list[str]:
    """The address of what comes first in each layer of a model."""
    return [next(iter(layer.keywords["steps"])) for layer in s.keywords["layers"]]


def options_of(s: Spec) -> Mapping[str, Any] | None:
    """The options of a model's mixers, which are all alike; None where all layers attend."""
    return next((mixer.keywords for mixer in parts(s.keywords["layers"], "mixer")), None)
