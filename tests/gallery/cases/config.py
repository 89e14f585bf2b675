"""Configs that can't be meant: as text, in their words, sizes and values, or by the weights."""

from __future__ import annotations

from tests.gallery.cases import config_families, config_sizes, config_text, config_values

CASES = [*config_text.CASES, *config_sizes.CASES, *config_values.CASES, *config_families.CASES]
