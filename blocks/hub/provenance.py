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
        text = {k: v for k in ("source", "commit", "family") if isinstance(v := known.get(k), str)}
        lists = {
            k: tuple(str(part) for part in v)
            for k in ("initialised", "left_out", "changes")
            if isinstance(v := known.get(k), list)
        }
        return cls(**text, **lists)
