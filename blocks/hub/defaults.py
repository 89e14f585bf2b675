"""What a checkpoint says of generation: the tokens that end a text."""

from __future__ import annotations

from dataclasses import dataclass

from blocks.errors import ConfigError
from blocks.hub.config import read_json
from blocks.hub.source import Source

__all__ = ["GenerationDefaults"]


@dataclass(frozen=True)
class GenerationDefaults:
    """Token ids from generation_config.json, or from config.json where that is absent.

    Attributes:
        eos: ids that end a text.
        pad: what finished rows are filled with.
        bos: what a text begins with.
    """

    eos: tuple[int, ...] = ()
    pad: int | None = None
    bos: int | None = None

    def to_json(self) -> dict[str, int | list[int]]:
        """As generation_config.json has it."""
        eos = list(self.eos) if len(self.eos) > 1 else self.eos[0] if self.eos else None
        fields = {"bos_token_id": self.bos, "eos_token_id": eos, "pad_token_id": self.pad}
        return {name: value for name, value in fields.items() if value is not None}


def read_generation(source: Source) -> GenerationDefaults:
    """The defaults of a checkpoint; a field that is neither an id nor a list of ids is an error."""
    found: dict[str, tuple[int, ...]] = {}
    for name in ("generation_config.json", "config.json"):
        path = source.find(name, assume_absent=True)
        data = read_json(path) if path else {}
        for field in ("eos_token_id", "pad_token_id", "bos_token_id"):
            value = data.get(field)
            ids = value if isinstance(value, list) else [] if value is None else [value]
            if not all(isinstance(i, int) and not isinstance(i, bool) for i in ids):
                raise ConfigError(f"{value!r} is not a token id", file=path, field=field)
            if ids:
                found.setdefault(field, tuple(i for i in ids if i >= 0))
    one = {
        field: next(iter(found.get(field, ())), None) for field in ("pad_token_id", "bos_token_id")
    }
    return GenerationDefaults(
        found.get("eos_token_id", ()), one["pad_token_id"], one["bos_token_id"]
    )
