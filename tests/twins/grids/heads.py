"""Heads: options and twins."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks import LayerNorm, MaskedHead, RMSNorm, SequenceHead, Spec
from tests.twins import heads
from tests.twins.combine import Options
from tests.twins.harness import Entry
from tests.twins.mlps import ACTIVATIONS

DIM = {"dim": (8,)}
SIZES = {"dim": (8,), "vocab": (11,)}
ACTS = tuple(ACTIVATIONS)
TEXTS = ("plain", "left", "right", "between")  # one vector a text, and packed rows have several


def states(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    return (torch.randn(rows, options["depth"] + 1, tokens, 8),)


def without_dense(options: Options) -> bool:
    """A width of its own needs the dense layer."""
    return options["act"] is not None or options["width"] is None


GRID = {
    "AdaptiveHead": Entry(
        heads.adaptive,
        SIZES | {"cutoffs": ((), (4,), (3, 7)), "width": (None, 8, 6), "div": (1, 2)},
    ),
    "LMHead": Entry(
        heads.language,
        SIZES
        | {"bias": (False, True), "scale": (1.0, 0.3), "cap": (None, 1.5), "width": (None, 5)},
    ),
    "LayerMix": Entry(heads.layer_mix, {"depth": (1, 3)}, states),
    "MaskedHead": Entry(
        heads.masked,
        SIZES
        | {
            "width": (None, 5),
            "act": ACTS,
            "norm": (LayerNorm, RMSNorm),
            "dense_bias": (True, False),
            "bias": (True, False),
        },
    ),
    "MixtureDensityHead": Entry(heads.mixture, DIM | {"components": (1, 3)}),
    "Pooler": Entry(heads.pooler, DIM | {"act": ACTS}, layouts=TEXTS, whole=True),
    "PretrainingHead": Entry(
        heads.pretraining,
        SIZES
        | {
            "masked": (MaskedHead, Spec(MaskedHead, act="relu", width=5)),
            "pairs": (Spec(SequenceHead, labels=2), Spec(SequenceHead, labels=3, pool="mean")),
        },
        layouts=TEXTS,
        whole=(False, True),
    ),
    "SentenceHead": Entry(
        heads.sentence,
        DIM | {"pool": ("first", "last", "mean", "max"), "unit": (True, False)},
        layouts=TEXTS,
        whole=True,
    ),
    "SequenceHead": Entry(
        heads.sequence,
        DIM
        | {
            "labels": (1, 3),
            "pool": ("first", "last", "mean"),
            "width": (None, 5),
            "act": (None, "tanh", "gelu"),
            "norm": (None, LayerNorm),
            "dense_bias": (True, False),
        },
        allowed=without_dense,
        layouts=TEXTS,
        whole=True,
    ),
    "SpanHead": Entry(
        heads.token,
        DIM | {"act": (None, *ACTS), "norm": (None, RMSNorm), "dense_bias": (True, False)},
    ),
    "SpanSearchHead": Entry(
        heads.span_search,
        DIM | {"begins": (1, 2), "ends": (1, 3), "norm": (LayerNorm, RMSNorm)},
        layouts=TEXTS,
        whole=True,
    ),
    "TokenHead": Entry(
        heads.token,
        DIM
        | {
            "labels": (1, 4),
            "act": (None, "gelu", "silu"),
            "norm": (None, LayerNorm),
            "dense_bias": (True, False),
        },
    ),
}
