"""Family: what the library knows about one public architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from blocks.hub.config import Config
from blocks.hub.keys import Keys
from blocks.spec import Spec

__all__ = ["Family"]


@dataclass(frozen=True)
class Family:
    """A public architecture, found by the `model_type` of its config.json.

    Attributes:
        model_type: as config.json names it.
        architectures: names in its `architectures` field that are served, the usual one first.
        spec: config -> Spec; it takes every field that changes the computation.
        config: Spec -> the fields of config.json from which `spec` makes that Spec again.
        keys: the table of tensor names, or what makes it of a Spec where fused tensors are cut
            by the number of heads.
        ties: places that share a tensor with another when a file leaves them out.
    """

    model_type: str
    architectures: tuple[str, ...]
    spec: Callable[[Config], Spec[Any]]
    config: Callable[[Spec[Any]], dict[str, Any]]
    keys: Keys | Callable[[Spec[Any]], Keys]
    ties: tuple[tuple[str, str], ...] = (("head.weight", "embedding.weight"),)

    def table(self, spec: Spec[Any]) -> Keys:
        """The table of tensor names for a model of this family."""
        return self.keys if isinstance(self.keys, Keys) else self.keys(spec)
