"""Provenance: where a model's numbers come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Provenance"]


@dataclass
class Provenance:
    """Where a model came from and what has been done to it since.

    Attributes:
        source: the folder or repository.
        commit: the repository's commit; None for a folder.
        family: the `model_type` it was read as.
        initialised: addresses that the file did not hold and that were drawn afresh.
        left_out: names in the file that nothing in the model uses.
        changes: what was changed in words, a line each.
    """

    source: str | None = None
    commit: str | None = None
    family: str | None = None
    initialised: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Any) -> Provenance:
        """What `to_json` wrote; whatever is odd in it is left out, since it steers nothing."""
        known = data if isinstance(data, dict) else {}

        def text(name: str) -> str | None:
            value = known.get(name)
            return value if isinstance(value, str) else None

        def lines(name: str) -> tuple[str, ...]:
            value = known.get(name)
            return tuple(str(part) for part in value) if isinstance(value, list) else ()

        return cls(
            source=text("source"),
            commit=text("commit"),
            family=text("family"),
            initialised=lines("initialised"),
            left_out=lines("left_out"),
            changes=lines("changes"),
        )
