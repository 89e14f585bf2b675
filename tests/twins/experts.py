"""Routers and mixtures of experts, one token at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tests.twins.mlps import Params, Part, linear, under

Choice = tuple[Tensor, Tensor]


def softmax(scores: list[float]) -> list[float]:
    best = max(scores)
    powers = [math.exp(s - best) for s in scores]
    return [power / sum(powers) for power in powers]


def ranked(scores: list[float], among: list[int]) -> list[int]:
    return sorted(among, key=lambda i: -scores[i])


def scores_of(p: Params, token: Tensor) -> list[float]:
    """W x + b of one token."""
    bias = p.get("bias", torch.zeros(len(p["weight"])))
    return [float(sum(w * token) + b) for w, b in zip(p["weight"], bias, strict=True)]


def groups_kept(scores: list[float], groups: int, kept_groups: int, best: int) -> list[int]:
    """The experts of the best groups, each as good as the sum of its `best` best."""
    size = len(scores) // groups
    members = [list(range(g * size, (g + 1) * size)) for g in range(groups)]
    worth = [sum(sorted((scores[i] for i in own), reverse=True)[:best]) for own in members]
    kept = ranked(worth, list(range(groups)))[:kept_groups]
    return [i for g in kept for i in members[g]]


def made(choices: list[list[tuple[int, float]]]) -> Choice:
    chosen = torch.tensor([[i for i, _ in row] for row in choices])
    weights = torch.tensor([[w for _, w in row] for row in choices], dtype=torch.float64)
    return weights, chosen


def topk_router(p: Params, x: Tensor, *, top_k: int, bias: bool = False) -> Choice:
    rows = []
    for token in x:
        s = scores_of(p, token)
        chosen = ranked(s, list(range(len(s))))[:top_k]
        rows.append(list(zip(chosen, softmax([s[i] for i in chosen]), strict=True)))
    return made(rows)


def softmax_router(
    p: Params,
    x: Tensor,
    *,
    top_k: int,
    renormalize: bool = True,
    groups: int = 1,
    kept_groups: int = 1,
    scale: float = 1.0,
    bias: bool = False,
    correction: bool = False,
) -> Choice:
    rows = []
    for token in x:
        share = softmax(scores_of(p, token))
        extra = p["correction"].tolist() if correction else [0.0] * len(share)
        liked = [s + c for s, c in zip(share, extra, strict=True)]
        chosen = ranked(liked, groups_kept(liked, groups, kept_groups, 1))[:top_k]
        whole = sum(share[i] for i in chosen) if renormalize else 1.0
        rows.append([(i, scale * share[i] / whole) for i in chosen])
    return made(rows)


def sigmoid_router(
    p: Params,
    x: Tensor,
    *,
    top_k: int,
    renormalize: bool = True,
    groups: int = 1,
    kept_groups: int = 1,
    scale: float = 1.0,
    correction: bool = True,
    cap: float | None = None,
    by: str = "score",
) -> Choice:
    rows = []
    for token in x:
        logits = scores_of(p, token)
        if cap is not None:
            logits = [cap * math.tanh(s / cap) for s in logits]
        scores = [1 / (1 + math.exp(-s)) for s in logits]
        extra = p["correction"].tolist() if correction else [0.0] * len(scores)
        seen = scores if by == "score" else logits
        liked = [s + c for s, c in zip(seen, extra, strict=True)]
        chosen = ranked(liked, groups_kept(liked, groups, kept_groups, 2))[:top_k]
        whole = sum(scores[i] for i in chosen) if renormalize else 1.0
        rows.append([(i, scale * scores[i] / whole) for i in chosen])
    return made(rows)


def sparse_mixer_router(p: Params, x: Tensor, *, top_k: int = 2, jitter: float = 0.01) -> Choice:
    """In evaluation: the best of all, and the best of the others."""
    rows = []
    for token in x:
        s, left, row = scores_of(p, token), list(range(len(p["weight"]))), []
        for _ in range(2):
            best = ranked(s, left)[0]
            most = s[best]
            near = [i for i in left if most - s[i] <= 2 * jitter * max(abs(s[i]), most)]
            share = dict(zip(near, softmax([s[i] for i in near]), strict=True))
            row.append((best, share[best]))
            left = [i for i in left if i != best]
        rows.append(row)
    return made(rows)


def moe(
    p: Params,
    x: Tensor,
    *,
    top_k: int,
    expert: Part,
    router: Part = softmax_router,
    shared: Part | None = None,
    shared_gate: bool = False,
    scale: float = 1.0,
    **_: object,
) -> Tensor:
    said = []
    for token in x[:, None]:
        weights, chosen = router(under(p, "router"), token, top_k=top_k)
        y = torch.zeros_like(token[0])
        for weight, i in zip(weights[0], chosen[0].tolist(), strict=True):
            y = y + weight * expert(under(p, f"experts.{i}"), token)[0]
        if shared is not None:
            gate = float(linear(p, "shared_gate", token)) if shared_gate else math.inf
            y = y + shared(under(p, "shared"), token)[0] / (1 + math.exp(-gate))
        said.append(scale * y)
    return torch.stack(said)
