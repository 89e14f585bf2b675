"""From logits to the next token: what is kept, and what is drawn."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blocks.errors import GenerationError

__all__ = ["Sampler"]

_SPREAD = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: seeds of neighbouring rows lie far apart


@dataclass
class Sampler:
    """Turns logits [B V] into tokens [B].

    In this order: the temperature, top-k, top-p, min-p, the draw.

    Args:
        temperature: what logits are divided by; 0 takes the likeliest token (greedy).
        top_k: only the k likeliest tokens are drawn from.
        top_p: only the smallest set of likeliest tokens whose probability reaches p (Holtzman et
            al., 2019, arXiv:1904.09751).
        min_p: only tokens at least min_p times as probable as the likeliest (Nguyen et al., 2024,
            arXiv:2407.01082).
        seed: each row draws from a generator of its own, seeded by it and the row's number, so
            that what a row says doesn't depend on its neighbours. None: not repeatable.

    Errors:
        GenerationError: a value out of range.

    Example:
        >>> import torch
        >>> from blocks import Sampler
        >>> Sampler()(torch.tensor([[0.1, 2.0, 0.3]]))
        tensor([1])
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("temperature", 0.0, math.inf),
            ("top_p", 0.0, 1.0),
            ("min_p", 0.0, 1.0),
            ("top_k", 1, math.inf),
        ):
            value = getattr(self, name)
            if value is None and name in ("top_k", "top_p", "min_p"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise GenerationError(f"{value!r} is not a number", field=name)
            open_below = name == "top_p"
            if not low <= value <= high or math.isinf(value) or (open_below and value == low):
                span = f"{'(' if open_below else '['}{low}, {high}]"
                raise GenerationError(f"{value} is not in {span}", field=name)
        if self.top_k is not None and not isinstance(self.top_k, int):
            raise GenerationError(f"{self.top_k} is not a whole number", field="top_k")
        whole = isinstance(self.seed, int) and not isinstance(self.seed, bool)
        if self.seed is not None and not whole:
            raise GenerationError(f"{self.seed!r} is not a whole number", field="seed")
        if self.temperature == 0 and (self.top_k or self.top_p or self.min_p):
            raise GenerationError(
                "top_k, top_p and min_p change nothing at temperature 0",
                field="temperature",
                hint="give a temperature, 1.0 for the model's own distribution",
            )
        self._generators: list[torch.Generator] = []

    def __call__(self, logits: Tensor, rows: Sequence[int] | None = None) -> Tensor:
        """Draws a token a row; `rows` are their numbers where they aren't 0, 1, 2 …"""
        logits = logits.float()
        if self.temperature == 0:
            return logits.argmax(-1)
        probabilities = self.distribution(logits)
        numbers = range(len(logits)) if rows is None else rows
        drawn = zip(numbers, probabilities, strict=True)
        return torch.cat([self._draw(row, p) for row, p in drawn])

    def ahead(self) -> Sampler:
        """Another that draws with the random numbers which this one will draw with."""
        other = copy.copy(self)
        other._generators = []
        for generator in self._generators:
            twin = torch.Generator(generator.device)
            twin.set_state(generator.get_state())
            other._generators.append(twin)
        return other

    def distribution(self, logits: Tensor) -> Tensor:
        """The probabilities [B V] that tokens are drawn by, at a temperature above 0."""
        # The highest is taken off first: a tiny temperature then overflows nowhere.
        logits = (logits - logits.amax(-1, keepdim=True)) / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k).values[:, -1:]
            logits = logits.masked_fill(logits < least, -math.inf)
        if self.top_p is not None and self.top_p < 1:
            ordered, order = logits.sort(descending=True, stable=True)
            before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
            dropped = torch.zeros_like(logits, dtype=torch.bool)
            dropped.scatter_(-1, order, before >= self.top_p)
            logits = logits.masked_fill(dropped, -math.inf)
        probabilities = logits.softmax(-1)
        if self.min_p is not None:
            highest = probabilities.amax(-1, keepdim=True)
            probabilities = probabilities.masked_fill(probabilities < self.min_p * highest, 0)
            probabilities = probabilities / probabilities.sum(-1, keepdim=True)
        return probabilities

    def _draw(self, row: int, probabilities: Tensor) -> Tensor:
        while len(self._generators) <= row:
            generator = torch.Generator(probabilities.device)
            if self.seed is None:
                generator.seed()
            else:
                generator.manual_seed((self.seed + _SPREAD * len(self._generators)) % 2**63)
            self._generators.append(generator)
        return torch.multinomial(probabilities, 1, generator=self._generators[row])
