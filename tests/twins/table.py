"""Every block with its twin, and the twins of what is no block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.twins import models
from tests.twins.grids import (
    attention,
    convolutions,
    embedding,
    heads,
    looking,
    mlps,
    norms,
    positions,
    readers,
    recurrent,
    wiring,
)
from tests.twins.harness import Entry

ENTRIES: dict[str, Entry] = (
    positions.GRID
    | embedding.GRID
    | heads.GRID
    | attention.GRID
    | looking.GRID
    | norms.GRID
    | mlps.GRID
    | convolutions.GRID
    | wiring.GRID
    | recurrent.GRID
    | readers.GRID
)
PLAIN: dict[str, Callable[..., Any]] = {"CausalLM": models.causal_lm, **positions.VALUES}
