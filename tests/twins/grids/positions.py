"""Positions: options and twins."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks import DynamicScaling, LinearScaling, Llama3Scaling, LongRoPEScaling, YarnScaling
from tests.twins import masks, positions, scalings
from tests.twins.combine import Options
from tests.twins.harness import Entry


def heads_of(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    """q [B H T E] and k [B K T E]."""
    counts, e = (options["heads"], options["kv_heads"]), options["head_dim"]
    return tuple(torch.randn(rows, n, tokens, e) for n in counts)


def places(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    """Positions of queries [B T] and of keys [B T], wherever they stand."""
    return torch.randint(40, (rows, tokens)), torch.randint(40, (rows, tokens))


HEADS = {"heads": (4,), "kv_heads": (2,)}

GRID = {
    "ALiBi": Entry(
        positions.alibi,
        {"heads": (1, 2, 3, 4, 6), "max_bias": (8.0, 3.0), "scale": (1.0, 0.3)},
        places,
        layouts=("plain",),
        whole=True,
    ),
    "AxialPositions": Entry(
        positions.axial,
        {"dim": (12,), "shape": ((3, 4), (2, 3, 2), (12,)), "widths": ((2, 4), (1, 2, 1), (6,))},
        allowed=lambda o: len(o["shape"]) == len(o["widths"]),
    ),
    "ConvPositions": Entry(
        positions.convolved,
        {"dim": (4,), "kernel": (3, 4, 1), "groups": (1, 2), "act": ("gelu", "tanh")},
        layouts=("plain", "left", "right", "between"),
    ),
    "LearnedPositions": Entry(positions.learned, {"dim": (8,), "rows": (14, 20), "offset": (0, 2)}),
    "QueryScale": Entry(
        positions.query_scale,
        HEADS
        | {"head_dim": (3,), "growth": (0.1, 2.0), "trained": (3, 100), "by": ("log", "power")},
        heads_of,
    ),
    "RelativeBias": Entry(
        positions.relative_bias,
        {"heads": (2,), "buckets": (8, 7, 32), "distance": (20, 128), "both_ways": (True, False)},
        places,
        layouts=("plain",),
        whole=True,
    ),
    "RoPE": Entry(
        positions.rope,
        HEADS
        | {
            "head_dim": (8,),
            "theta": (100.0, 1e4),
            "rotated": (1.0, 0.5),
            "pairing": ("half", "adjacent"),
            "scaling": (
                None,
                LinearScaling(3.0),
                DynamicScaling(2.0, trained=5),
                YarnScaling(4.0, trained=30, fast=4.0, slow=0.5),
                YarnScaling(2.0, trained=100_000, fast=1000.0),
                YarnScaling(4.0, trained=40, magnitude=1.2, truncate=False),
                Llama3Scaling(8.0, low=1.0, high=4.0, trained=20),
                LongRoPEScaling((1.0, 1.5), (2.0, 4.0), 6, 1.1, 1.3),
                LongRoPEScaling((1.0, 1.5, 2.0, 3.0), (2.0, 4.0, 5.0, 9.0), 6),
            ),
        },
        heads_of,
        allowed=lambda o: (
            not isinstance(o["scaling"], LongRoPEScaling)
            or 2 * len(o["scaling"].short) == o["head_dim"] * o["rotated"]
        ),
        packs=lambda o: not (o["scaling"] and o["scaling"].by_length),
    ),
    "SinusoidalPositions": Entry(
        positions.sinusoidal,
        {
            "dim": (8,),
            "layout": ("interleaved", "halves"),
            "theta": (1e4, 50.0),
            "endpoint": (False, True),
            "offset": (0, 3),
            "scale": (1.0, 0.5),
        },
    ),
}

VALUES = {
    "Both": masks.both,
    "Causal": masks.causal,
    "Chunk": masks.chunk,
    "Full": masks.full,
    "Gist": masks.gist,
    "NearChunks": masks.near_chunks,
    "Prefix": masks.prefix,
    "SymmetricWindow": masks.symmetric_window,
    "Window": masks.window,
    "DynamicScaling": scalings.dynamic,
    "LinearScaling": scalings.linear,
    "Llama3Scaling": scalings.llama3,
    "LongRoPEScaling": scalings.longrope,
    "YarnScaling": scalings.yarn,
}
