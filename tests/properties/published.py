"""One sound config of every family, written from its frozen Spec: no reference is needed for it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import blocks
from blocks import Spec
from blocks.families import family_of, model_types

FROZEN = Path(__file__).parents[1] / "families" / "frozen"


@cache
def families() -> tuple[str, ...]:
    return tuple(name for name in model_types() if _file(name).is_file())


def _file(family: str) -> Path:
    return FROZEN / f"{family.replace('-', '_')}.json"


@cache
def spec_of(family: str) -> Spec[Any]:
    """The tiny model that the family's tests are about."""
    return blocks.from_json(json.loads(_file(family).read_text(encoding="utf-8")))


@cache
def config_of(family: str) -> dict[str, Any]:
    """Its config.json."""
    known = family_of(family)
    named = {"model_type": family, "architectures": list(known.architectures[:1])}
    return known.config(spec_of(family)) | named
