"""Samplers and rules of generation, as lists of numbers: scores of one text, and its tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

Scores = list[float]
NEVER = -math.inf


def softmax(values: dict[int, float]) -> dict[int, float]:
    best = max(values.values())
    powers = {i: math.exp(v - best) for i, v in values.items()}
    total = sum(powers.values())
    return {i: p / total for i, p in powers.items()}


def distribution(
    logits: Scores,
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Scores:
    """By which a token is drawn; one that is as good as the k-th best stays."""
    kept = {i: value / temperature for i, value in enumerate(logits)}
    if top_k is not None and top_k < len(logits):
        least = sorted(kept.values(), reverse=True)[top_k - 1]
        kept = {i: value for i, value in kept.items() if value >= least}
    if top_p is not None and top_p < 1:
        share, before, chosen = softmax(kept), 0.0, []
        for i in sorted(kept, key=lambda i: (-kept[i], i)):
            if before < top_p:
                chosen.append(i)
            before += share[i]
        kept = {i: kept[i] for i in chosen}
    share = softmax(kept)
    if min_p is not None:
        best = max(share.values())
        share = {i: p for i, p in share.items() if p >= min_p * best}
        total = sum(share.values())
        share = {i: p / total for i, p in share.items()}
    return [share.get(i, 0.0) for i in range(len(logits))]


def repetition_penalty(scores: Scores, text: Sequence[int], penalty: float) -> Scores:
    return [
        (x / penalty if x > 0 else x * penalty) if i in text else x for i, x in enumerate(scores)
    ]


def no_run_of(scores: Scores, text: Sequence[int], source: Sequence[int], size: int) -> Scores:
    """Without what would end a run of so many tokens that stands in the source."""
    if size == 0 or len(text) < size - 1:
        return scores
    runs = {tuple(source[n : n + size]) for n in range(len(source) - size + 1)}
    newest = tuple(text[len(text) - size + 1 :])
    return [NEVER if (*newest, i) in runs else x for i, x in enumerate(scores)]


def bad_words(
    scores: Scores, text: Sequence[int], words: Sequence[Sequence[int]], ends: Sequence[int]
) -> Scores:
    """A word of one token that ends the text may come."""
    return [
        NEVER
        if any(
            list(word) == [*text, i][-len(word) :] and not (len(word) == 1 and i in ends)
            for word in words
        )
        else x
        for i, x in enumerate(scores)
    ]


def without(scores: Scores, tokens: Sequence[int]) -> Scores:
    return [NEVER if i in tokens else x for i, x in enumerate(scores)]


def only(scores: Scores, tokens: Sequence[int]) -> Scores:
    return [0.0 if i in tokens else NEVER for i in range(len(scores))]


def renormalize(scores: Scores) -> Scores:
    """Logarithms of probabilities; where no token is left, none is made."""
    if max(scores) == NEVER:
        return scores
    share = softmax(dict(enumerate(scores)))
    return [math.log(share[i]) if share[i] else NEVER for i in range(len(scores))]
