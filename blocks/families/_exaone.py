"""What EXAONE's families share: normed queries and keys, windows in most layers and no positions in
the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blocks import Mask, QKNorm, RMSNorm, Spec
from blocks.families import _decoder as common
from blocks.families._dialects import read_or_null
from blocks.families._layers import masks, read_slides, write_slides
from blocks.families._rope import read_rope, ropes
from blocks.hub.config import Config


def read_exaone(c: Config, mlps: Sequence[Spec], around: str) -> Spec:
    """The model, given the MLP of each layer and where the norm of each branch is."""
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    window = read_or_null(c, "sliding_window", 4096)
    pattern = c.take("sliding_window_pattern", int | str, 4, low=0)  # a period, or LLLG
    if isinstance(pattern, str) and (not pattern or set(pattern) - {"L", "G"}):
        raise c.error("sliding_window_pattern", f"{pattern!r} is not of L and G alone")

    def rule(i: int) -> bool:
        if isinstance(pattern, str):
            return pattern[i % len(pattern)] == "L"
        return window is not None and (i + 1) % (pattern or 1) != 0

    slides = read_slides(c, rule)
    rope, wiring = read_rope(c, context), {around: norm}
    layers = []
    for mlp, (mask, qk) in zip(mlps, turned(c, norm, rope, slides, window), strict=True):
        attention = common.attention(c, dim, *qk, kv_heads=32, mask=mask)
        layers.append(common.layer(attention, mlp, **wiring))
    return common.decoder(c, tuple(layers), norm, dim, context)


def turned(
    c: Config, norm: Spec, rope: Spec, slides: Sequence[bool], window: int | None
) -> list[tuple[Mask, tuple[Spec, ...]]]:
    """For each layer its mask and what happens to queries and keys: they turn where there is a
    window, or where no layer may have one.
    """
    norms = Spec(QKNorm, norm=norm)
    parts = [(norms, rope) if slide or window is None else (norms,) for slide in slides]
    return list(zip(masks(c, slides, window), parts, strict=True))


def write_exaone(s: Spec, *, head_dim: bool = False) -> dict[str, Any]:
    """The fields that `read_exaone` is read from; `head_dim` is as in `write_decoder`."""
    slides, layers = write_slides(s), s.keywords["layers"]
    if len(ropes(layers)) == len(layers) and "sliding_attention" not in slides["layer_types"]:
        slides["sliding_window"] = None
    return common.write_decoder(s, head_dim=head_dim) | slides
