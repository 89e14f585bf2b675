"""Attention by windows, chunks, distances, hashes and other scores: options and twins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks import Causal, Full, LayerNorm, TypeRelation, Window
from tests.twins import looking
from tests.twins.combine import Options
from tests.twins.grids.attention import DIM, FLAG, MASKS, PADDED, causal, read
from tests.twins.harness import Entry


def typed(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    return {"types": torch.randint(2, (rows, tokens))} if tokens != 9 else {}


def marked(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    return {"global_mask": torch.rand(rows, tokens) < 0.3} if tokens != 8 else {}


def pairs(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    q = torch.randn(rows, options["heads"], tokens, options["head_dim"])
    return q, torch.randint(2, (rows, tokens)), torch.randint(2, (rows, tokens))


def kept(options: Options) -> bool:
    """Nothing is forgotten that a token still sees."""
    mask, memory = options["mask"], options["memory"]
    reach = mask.size - 1 if isinstance(mask, Window) else None
    return causal(options) and (memory is None or (reach is not None and reach <= memory))


PIECES = DIM | {
    "heads": (2, 4),
    "chunk": (2, 3),
    "before": (0, 1, 2),
    "after": (0, 1),
    "head_dim": (None, 3),
    "bias": FLAG,
    "out_bias": FLAG,
    "mask": (Causal(), Full(), Window(3)),
}

GRID = {
    "AdditiveAttention": Entry(
        looking.additive,
        DIM | {"reads": (None, 6), "hidden": (None, 5), "bias": FLAG},
        known=read,
    ),
    "ChunkAttention": Entry(looking.chunked, PIECES, alike=lambda o: causal(o) and not o["after"]),
    "CircleAttention": Entry(
        looking.circle,
        PIECES | {"multiple": (None, 6)},
        layouts=PADDED,
    ),
    "GaussianWindow": Entry(
        looking.gaussian_window,
        DIM | {"reads": (None, 6), "components": (1, 3)},
        known=read,
        layouts=PADDED,
    ),
    "LSHAttention": Entry(
        looking.hashed,
        DIM
        | {
            "heads": (2, 4),
            "buckets": (2, 4, (2, 4), (2, 2, 2)),
            "chunk": (2, 4),
            "head_dim": (None, 3),
            "hashes": (1, 2, 3),
            "before": (0, 1, 2),
            "after": (0, 1),
            "multiple": (None, 4),
            "seed": (None, 5),
            "mask": (Causal(), Full(), Window(5)),
        },
        layouts=PADDED,
        alike=lambda o: False,
        single=1e-2,  # beside a token's score of itself, −1e5, float32 knows no less than 0.01
    ),
    "LongformerAttention": Entry(
        looking.longformer,
        DIM
        | {
            "heads": (2, 4),
            "radius": (1, 3, 20),
            "head_dim": (None, 3),
            "bias": FLAG,
            "out_bias": FLAG,
        },
        known=marked,
        layouts=PADDED,
    ),
    "RelativeAttention": Entry(
        looking.relative,
        DIM
        | {
            "heads": (2, 4),
            "head_dim": (None, 3),
            "bias": FLAG,
            "layout": ("interleaved", "halves"),
            "clamp": (None, 2),
            "memory": (None, 3),
            "filled": FLAG,
            "norm_in": (None, LayerNorm),
            "relation": (None, TypeRelation),
            "mask": MASKS[:4],
        },
        known=typed,
        allowed=lambda o: not (o["filled"] and o["memory"] is None),
        packs=lambda o: not o["filled"],
        alike=kept,
    ),
    "TypeRelation": Entry(
        looking.type_relation, {"head_dim": (3,), "heads": (2,)}, pairs, whole=True
    ),
}
