"""Attention by products of queries and keys, and what changes its scores: options and twins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks import (
    ALiBi,
    Causal,
    Chunk,
    Clip,
    Full,
    Gist,
    LayerNorm,
    NearChunks,
    OutputGate,
    Prefix,
    QKNorm,
    QueryScale,
    RelativeBias,
    RMSNorm,
    RoPE,
    SoftCap,
    Spec,
    SymmetricWindow,
    Window,
)
from tests.twins import attention
from tests.twins.combine import Options
from tests.twins.harness import Entry

DIM = {"dim": (8,)}

FLAG = (False, True)

MASKS = (
    Causal(),
    Full(),
    Window(4),
    Chunk(4),
    Prefix(3),
    Window(5) & Chunk(4),
    SymmetricWindow(2),
    Causal() & Gist(2, 3),
    Causal() & NearChunks(3),
)

AHEAD = (Full(), SymmetricWindow(2))  # what comes later changes what came before

PADDED = ("plain", "left", "right", "between")


def shown(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    """Now and then only some tokens may be looked at, by some queries none."""
    return {"seen": torch.rand(rows, tokens, tokens) < 0.6} if tokens == 12 else {}


def read(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    """Another sequence, of which rows have more or less."""
    wide = options.get("reads") or options["dim"]
    real = torch.arange(5) < 5 - torch.arange(rows)[:, None]
    return {"memory": torch.randn(rows, 5, wide), "memory_real": real if rows > 1 else None}


def looked_at(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    """The same, or what each token may look at."""
    known = read(options, rows, tokens)
    if tokens == 12:
        known["memory_real"] = torch.rand(rows, tokens, 5) < 0.7
    return known


def found(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    y = torch.randn(rows, options["heads"], tokens, options["value_dim"])
    return y, torch.randn(rows, tokens, options["dim"])


def scores(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return (3 * torch.randn(rows, options["heads"], tokens, tokens),)


def grouped(options: Options) -> bool:
    return options["heads"] % (options["kv_heads"] or 1) == 0


def causal(options: Options) -> bool:
    return options["mask"] not in AHEAD


GRID = {
    "Clip": Entry(attention.clip, DIM | {"cap": (0.5, 1.2)}),
    "CrossAttention": Entry(
        attention.cross,
        DIM
        | {
            "heads": (2, 4),
            "kv_heads": (None, 1, 2),
            "head_dim": (None, 3),
            "bias": FLAG,
            "key_bias": (None, *FLAG),
            "out_bias": FLAG,
            "scale": (None, 0.3),
            "norm": (None, LayerNorm),
        },
        known=looked_at,
    ),
    "GQAttention": Entry(
        attention.grouped,
        DIM
        | {
            "heads": (2, 4),
            "kv_heads": (None, 1, 2),
            "head_dim": (None, 6),
            "value_dim": (None, 3),
            "out_dim": (None, 5),
            "bias": FLAG,
            "key_bias": (None, *FLAG),
            "out_bias": FLAG,
            "qk": (
                (),
                (RoPE,),
                (Spec(QKNorm, norm=RMSNorm), Spec(RoPE, theta=50.0, pairing="adjacent")),
                (Spec(QueryScale, trained=4, growth=0.5),),
            ),
            "values": (None, Spec(Clip, cap=0.5), RMSNorm),
            "scores": (
                (),
                (Spec(SoftCap, cap=1.5),),
                (ALiBi,),
                (Spec(SoftCap, cap=2.0), Spec(RelativeBias, buckets=8, distance=9)),
                (Spec(ALiBi, scale=0.5), Spec(RelativeBias, buckets=8, distance=9)),
            ),
            "mask": MASKS,
            "gate": (None, OutputGate, Spec(OutputGate, over="head", head_bias=True)),
            "scale": (None, 0.3),
            "sinks": FLAG,
        },
        known=shown,
        allowed=grouped,
        alike=causal,
    ),
    "InfiniAttention": Entry(
        attention.infini,
        DIM
        | {
            "heads": (2, 4),
            "segment": (1, 3, 5),
            "kv_heads": (None, 1, 2),
            "head_dim": (None, 6),
            "update": ("linear", "delta"),
            "bias": FLAG,
            "out_bias": FLAG,
            "qk": ((), (RoPE,)),
            "scale": (None, 0.3),
        },
        allowed=grouped,
        layouts=PADDED,
    ),
    "LatentAttention": Entry(
        attention.latent,
        DIM
        | {
            "heads": (2, 4),
            "kv_rank": (5, 6),
            "nope_dim": (3, 4),
            "rope_dim": (2, 4),
            "value_dim": (3, 5),
            "q_rank": (None, 6),
            "norm": (RMSNorm, LayerNorm, None),
            "bias": FLAG,
            "out_bias": FLAG,
            "qk": ((), (Spec(RoPE, pairing="adjacent"),)),
            "mask": MASKS[:4],
            "scale": (None, 0.3),
        },
        known=shown,
        alike=causal,
    ),
    "OutputGate": Entry(
        attention.output_gate,
        DIM
        | {
            "heads": (2,),
            "value_dim": (3,),
            "act": ("sigmoid", "softplus", "tanh"),
            "over": ("channel", "head"),
            "bias": FLAG,
            "head_bias": FLAG,
        },
        found,
    ),
    "Scale": Entry(attention.scaled, DIM | {"scale": (0.5, 3.0)}),
    "SoftCap": Entry(attention.soft_cap, {"heads": (3,), "cap": (0.5, 30.0)}, scores, whole=True),
    "TurnedAttention": Entry(
        attention.turned,
        DIM | {"heads": (2, 4), "theta": (1e4, 20.0), "bias": FLAG, "mask": MASKS[:4]},
        known=shown,
    ),
}
