"""The part of the tables that has RNN, LSTM, GRU and what is made of them."""

from __future__ import annotations

from typing import Any

from tests.blocks.small import Small

STACKED: dict[str, Any] = {"hidden": 12, "depth": 3, "dropout": (0.5, {"depth": 2})}

RECURRENT: dict[str, Small] = {
    "GRU": Small((16,), {"depth": 2}),
    "LSTM": Small((16,), {"depth": 2}),
    "RNN": Small((16,), {"depth": 2}),
}

# Another value of each of their keywords.
OTHERS: dict[str, dict[str, Any]] = {"GRU": STACKED, "LSTM": STACKED, "RNN": STACKED}
