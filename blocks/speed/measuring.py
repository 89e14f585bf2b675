"""How fast a model reads and writes, beside what the machine can do at most."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from blocks.errors import GenerationError

__all__: list[str] = []

READ = 100_000_000  # numbers of 4 bytes that are summed: no cache holds them
SIDE = 2048  # of the matrices that are multiplied


@dataclass(frozen=True)
class Spread:
    """Some figures of one thing: the middle one, the smallest and the largest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Any) -> Spread:
        """Of values in any order."""
        found = sorted(values)
        return cls(median(found), found[0], found[-1])

    def to_json(self) -> dict[str, float]:
        """As plain JSON data."""
        return vars(self)

    def __format__(self, form: str) -> str:
        return " ".join([format(self.median, form), f"({self.least:{form}} to {self.most:{form}})"])


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes, by a clock that nobody sets."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def read_rate(rounds: int = 5, numbers: int = READ) -> Spread:
    """Bytes a second that come from the memory: those of a plain sum."""
    held = torch.ones(numbers)
    held.sum()
    return Spread.of(held.nbytes / seconds(held.sum) for _ in range(rounds))


def product_rate(dtype: torch.dtype, rounds: int = 5, side: int = SIDE) -> Spread:
    """FLOPs a second of a product of two large matrices."""
    one, other = (torch.randn(side, side).to(dtype) for _ in range(2))
    one.matmul(other)
    return Spread.of(2 * side**3 / seconds(lambda: one @ other) for _ in range(rounds))


@torch.no_grad()
def paces(
    model: Any, context: int, tokens: int, batch: int, rounds: int
) -> Iterator[tuple[float, float]]:
    """Tokens a second while a model reads a text and while it writes on, round by round.

    Args:
        model: a `CausalLM` or what else writes token by token.
        context: tokens of the text.
        tokens: that are written after it, each the likeliest.
        batch: texts at once.
        rounds: how often; one round before them is not counted, as things are made in it.

    Errors:
        GenerationError: a model that doesn't write by itself.
    """
    if not hasattr(model, "vocab") or not hasattr(model, "init_state") or hasattr(model, "given"):
        raise GenerationError(f"a {type(model).__name__} doesn't write token by token by itself")
    device = next(model.parameters()).device
    draw = torch.Generator().manual_seed(0)
    text = torch.randint(model.vocab, (batch, context), generator=draw).to(device)
    for at in range(rounds + 1):
        state = model.init_state(batch, context + tokens)
        start = time.perf_counter()
        new = newest(model(text, state=state, last=True))
        wait(device)
        middle = time.perf_counter()
        for _ in range(tokens):
            new = newest(model(new, state=state))
        wait(device)
        end = time.perf_counter()
        if at:
            yield batch * context / (middle - start), batch * tokens / (end - middle)


def newest(logits: Tensor) -> Tensor:
    """The likeliest token after each row [B 1]."""
    return logits[:, -1].argmax(-1, keepdim=True)


def wait(device: torch.device) -> None:
    """Until a device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak() -> int | None:
    """The most bytes that this process has held so far; None where the system doesn't say."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
