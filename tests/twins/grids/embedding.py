"""Embeddings: options and twins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from blocks import CausalLM, GQAttention, LayerNorm, PatchEmbedding, RMSNorm, Spec
from tests.twins import embeddings
from tests.twins.combine import Options
from tests.twins.harness import Entry, sequences, tokens_of

LAYERS = (Spec(GQAttention, heads=2),)
MODEL: dict[str, Any] = {"vocab": 11, "dim": 8, "layers": LAYERS, "norm": RMSNorm}
SIZES = {"vocab": (11,), "dim": (8,)}


def queries(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return (torch.randint(-1, options["vocab"], (rows, tokens)),)


def far(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return (torch.randint(0x110000, (rows, tokens)),)


def read(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return (torch.randint(11, (rows, tokens)),)


def patches(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return (torch.randint(options["vocab"], (rows, tokens, options["count"])),)


def pixels(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return (torch.randn(rows, tokens, options["patch"] ** 2 * options["channels"]),)


def with_media(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    """Half of the tokens stand for an image."""
    half = torch.arange(tokens) % 2 == 0
    held = torch.stack([half[torch.randperm(tokens)] for _ in range(rows)])
    others = torch.randint(5, 9, (rows, tokens))
    wide = options["embed"].keywords["patch"] ** 2 * 3
    x = torch.randn(rows, tokens, options["dim"])
    return (
        x,
        torch.where(held, options["token"], others),
        torch.randn(rows, (tokens + 1) // 2, wide),
    )


def pair_types(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    return {"types": torch.randint(options["types"], (rows, tokens)) if tokens % 2 else None}


GRID = {
    "AdaptiveEmbedding": Entry(
        embeddings.adaptive,
        SIZES
        | {
            "cutoffs": ((), (4,), (3, 7)),
            "width": (None, 8, 6),
            "div": (1, 2),
            "scale": (1.0, 2.5),
        },
        tokens_of,
    ),
    "EntropyPatches": Entry(
        embeddings.entropy_patches,
        {
            "model": (Spec(CausalLM, **MODEL), Spec(CausalLM, **MODEL | {"norm": LayerNorm})),
            "threshold": (2.0, 2.2, 9.0),
            "size": (None, 1, 3),
        },
        read,
        layouts=("plain", "left", "right", "between"),
    ),
    "EqualPatches": Entry(embeddings.equal_patches, {"size": (1, 2, 5)}, read),
    "HashedEmbedding": Entry(
        embeddings.hashed,
        {"vocab": (0x110000,), "dim": (16,), "hashes": (1, 4, 16), "buckets": (7, 5003)},
        far,
    ),
    "JoinedEmbedding": Entry(
        embeddings.joined,
        SIZES
        | {
            "count": (1, 2, 4),
            "width": (None, 3),
            "norm_in": (None, LayerNorm, RMSNorm),
            "norm_out": (None, RMSNorm),
        },
        patches,
    ),
    "MediaTokens": Entry(
        embeddings.media,
        {
            "dim": (8,),
            "token": (0, 3),
            "embed": (Spec(PatchEmbedding, patch=2), Spec(PatchEmbedding, patch=1, bias=False)),
        },
        with_media,
        beside=(2,),
    ),
    "NGramEmbedding": Entry(
        embeddings.ngrams,
        SIZES | {"sizes": ((2,), (3, 1, 5)), "hashes": (1, 3), "buckets": (5, 101)},
        tokens_of,
    ),
    "OneHot": Entry(embeddings.one_hot, {"vocab": (11,), "dim": (11, 13)}, tokens_of),
    "PatchEmbedding": Entry(
        embeddings.patch,
        {"dim": (8,), "patch": (1, 2, 3), "channels": (1, 3), "bias": (True, False)},
        pixels,
    ),
    "QueryEmbedding": Entry(embeddings.query, SIZES, queries),
    "RepeatedEmbedding": Entry(embeddings.repeated, SIZES | {"times": (1, 2, 4)}, tokens_of),
    "TokenEmbedding": Entry(
        embeddings.token, SIZES | {"scale": (1.0, 2.8), "width": (None, 3)}, tokens_of
    ),
    "TypeEmbedding": Entry(
        embeddings.types, {"dim": (8,), "types": (2, 3)}, sequences, known=pair_types
    ),
}
