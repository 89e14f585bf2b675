"""Recurrent layers that read another sequence: options and twins."""

from __future__ import annotations

from typing import Any

import torch

from blocks import GRU, LSTM, RNN, AdditiveAttention, GaussianWindow, Spec
from tests.twins import recurrent
from tests.twins.combine import Options
from tests.twins.harness import Entry

STEPWISE = ("plain", "left", "right", "between")  # packed documents have one memory


def told(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    """A memory whose rows end at different places."""
    long = 6
    real = torch.arange(long) < long - torch.arange(rows)[:, None]
    return {
        "memory": torch.randn(rows, long, options["reads"] or options["dim"]),
        "memory_real": real,
    }


def handed(options: Options, rows: int, tokens: int) -> dict[str, Any]:
    """The final states of another layer of the same kind, hidden 5 and depth 2."""
    parts = 2 if options["inner"].func is LSTM else 1
    return {"memory": torch.randn(rows, 1, parts * 10)}


GRID = {
    "Attending": Entry(
        recurrent.attending,
        {
            "dim": (6,),
            "inner": (Spec(GRU, hidden=5, reset="before"), Spec(GRU), Spec(LSTM, hidden=4), RNN),
            "attention": (AdditiveAttention, Spec(GaussianWindow, components=2)),
            "reads": (None, 7),
        },
        known=told,
        layouts=STEPWISE,
        single=5e-5,  # windows are exponentials of what is fed back
    ),
    "Handed": Entry(
        recurrent.handed,
        {
            "dim": (6,),
            "inner": tuple(Spec(kind, hidden=5, depth=2) for kind in (GRU, LSTM, RNN)),
        },
        known=handed,
        layouts=STEPWISE,
    ),
    "SkipStack": Entry(
        recurrent.skip_stack,
        {
            "dim": (6,),
            "inner": (Spec(LSTM, hidden=4, peepholes=True), Spec(GRU, hidden=5)),
            "depth": (1, 3),
            "attention": (None, Spec(GaussianWindow, components=2), AdditiveAttention),
            "reads": (None, 7),
        },
        known=told,
        packs=lambda o: o["attention"] is None,
    ),
}
