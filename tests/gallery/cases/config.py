"""Configs that can't be meant: as text, in their words, sizes and values, or by the weights."""

from __future__ import annotations

from tests.gallery.cases import (
    config_families,
    config_rope,
    config_sizes,
    config_text,
    config_values,
)

_ALL = (config_text, config_sizes, config_values, config_rope, config_families)
CASES = [case for one in _ALL for case in one.CASES]
