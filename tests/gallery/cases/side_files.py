"""What lies beside the weights: pickles, adapters, code, and small JSON files that ask for much."""

from __future__ import annotations

from tests.gallery.cases import side_native, side_sound, side_weights

CASES = [*side_weights.CASES, *side_native.CASES, *side_sound.CASES]
