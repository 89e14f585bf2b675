"""Every public block as one graph: the numbers of eager torch, forward and backward."""

from __future__ import annotations

import pytest

from blocks.testing.compiled import check_compiled, check_exported
from blocks.testing.subject import Subject
from tests.blocks.table import TABLE, build, public_blocks

FUSED = "aten::lstm, gru and rnn_tanh are one kernel in eager torch, which compilers take apart"
WHOLE = "how many patches a text has is known at run time: a graph has room for as many as tokens"

# What may differ, relative to the largest value, and why. All others give the same bits.
WITHIN: dict[str, tuple[float, str]] = {
    "ByteLatentLM": (1e-5, WHOLE),
    "FinalStates": (1e-6, FUSED),
    "GRU": (1e-6, FUSED),
    "Handed": (1e-6, FUSED),
    "LSTM": (1e-6, FUSED),
    "RNN": (1e-6, FUSED),
}


def subject(name: str) -> Subject:
    small = TABLE[name]
    return Subject.of(build(name), small.x(), small.shape, small.checks.get("wide", False))


@pytest.mark.slow
@pytest.mark.parametrize("name", public_blocks())
def test_one_graph(name: str) -> None:
    check_compiled(subject(name), True, WITHIN.get(name, (0.0, ""))[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", public_blocks())
def test_exported(name: str) -> None:
    check_exported(subject(name), WITHIN.get(name, (0.0, ""))[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHIN)
def test_no_tolerance_is_idle(name: str) -> None:
    with pytest.raises(AssertionError, match=r"allowed: 0\)"):
        check_compiled(subject(name), True, 0.0)
