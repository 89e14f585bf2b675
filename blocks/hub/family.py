"""Family: what the library knows about one public architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from blocks.hub.config import Config
from blocks.hub.keys import Keys
from blocks.spec import Spec

__all__ = ["Family"]


Ties = tuple[tuple[str, str], ...]


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
        ties: places that share a tensor with another when a file leaves them out, or what makes
            them of a Spec where layers share theirs.
        optional: parts of the assembly that are left out where a file holds nothing of them, such
            as the pooler of an encoder.
        written: the family that `export` writes such models as: where this one's files hold more
            than is read, that of the part alone. None is this one.
        shortest: fields without which no config of it can be read, beside numbers that each has.
    """

    model_type: str
    architectures: tuple[str, ...]
    spec: Callable[[Config], Spec[Any]]
    config: Callable[[Spec[Any]], dict[str, Any]]
    keys: Keys | Callable[[Spec[Any]], Keys]
    ties: Ties | Callable[[Spec[Any]], Ties] = (("head.weight", "embedding.weight"),)
    optional: tuple[str, ...] = ()
    written: str | None = None
    shortest: Mapping[str, Any] = field(default_factory=dict)

    def shared(self, spec: Spec[Any]) -> Ties:
        """The pairs (place, source) that may share a tensor in a model of this family."""
        return self.ties if isinstance(self.ties, tuple) else self.ties(spec)

    def table(self, spec: Spec[Any]) -> Keys:
        """The table of tensor names for a model of this family."""
        return self.keys if isinstance(self.keys, Keys) else self.keys(spec)
