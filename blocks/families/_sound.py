"""What families that hear share: fields of training and of other tasks."""

from __future__ import annotations

from blocks.families._dialects import read_noise
from blocks.hub.config import Config

# Masked spans are of training; projections and weighted sums of heads that classify sounds.
_INTS = """classifier_proj_size mask_feature_length mask_feature_min_masks mask_time_length
mask_time_min_masks""".split()
_FLAGS = ("apply_spec_augment", "use_weighted_layer_sum")


def read_training(c: Config) -> None:
    """Fields that change no answer: checked, and of no use here."""
    for name in _INTS:
        c.take(name, int, 1, low=0)
    for name in _FLAGS:
        c.take(name, bool, False)
    for name in ("mask_feature_prob", "mask_time_prob"):
        read_noise(c, name)
