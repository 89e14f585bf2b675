"""Embeddings, token by token. One sequence: tokens [T]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.twins.facts import Facts
from tests.twins.heads import log_softmax
from tests.twins.mlps import Params, linear, under

Part = Callable[..., Any]


def token(p: Params, tokens: Tensor, *, scale: float, width: int | None) -> Tensor:
    rows = torch.stack([p["weight"][int(t)] for t in tokens])
    return scale * (linear(p, "project", rows) if width else rows)


def repeated(p: Params, tokens: Tensor, *, times: int) -> Tensor:
    return torch.stack([torch.cat([p["weight"][int(t)]] * times) for t in tokens])


def query(p: Params, tokens: Tensor) -> Tensor:
    return torch.stack([p["query"][0, 0] if t < 0 else p["weight"][int(t)] for t in tokens])


def one_hot(p: Params, tokens: Tensor, *, dim: int) -> Tensor:
    y = torch.zeros(len(tokens), dim, dtype=torch.float64)
    for place, t in enumerate(tokens):
        y[place, int(t)] = 1
    return y


def types(p: Params, x: Tensor, *, facts: Facts, types: int) -> Tensor:
    kinds = [0] * len(x) if facts.types is None else facts.types
    return torch.stack([v + p["weight"][kind] for v, kind in zip(x, kinds, strict=True)])


def adaptive(
    p: Params,
    tokens: Tensor,
    *,
    vocab: int,
    dim: int,
    cutoffs: tuple[int, ...],
    width: int | None,
    div: int,
    scale: float,
) -> Tensor:
    """One table where div is 1; a projection of each cluster where rows are not as wide."""
    rows = []
    for t in map(int, tokens):
        cluster = sum(t >= cut for cut in cutoffs) if div > 1 else 0
        first = [0, *cutoffs][cluster]
        row = p[f"tables.{cluster}"][t - first]
        assert len(row) == (width or dim) // div**cluster
        if f"projections.{cluster}" in p:
            row = torch.stack([(weights * row).sum() for weights in p[f"projections.{cluster}"]])
        else:
            assert div == 1 and width in (None, dim)
        rows.append(scale * row)
    return torch.stack(rows)


CANINE = (31, 43, 59, 61, 73, 97, 103, 113, 137, 149, 157, 173, 181, 193, 211, 223)


def hashed(p: Params, tokens: Tensor, *, hashes: int, buckets: int) -> Tensor:
    def row(t: int) -> Tensor:
        found = [(t + 1) * prime % buckets for prime in CANINE[:hashes]]
        return torch.cat([p[f"tables.{n}"][bucket] for n, bucket in enumerate(found)])

    return torch.stack([row(int(t)) for t in tokens])


BYTE_LATENT = (1000000007, 5915587277, 1500450271)


def ngrams(
    p: Params, tokens: Tensor, *, sizes: tuple[int, ...], hashes: int, buckets: int
) -> Tensor:
    def bucket(gram: list[int], prime: int) -> int:
        total = 0
        for i, t in enumerate(gram):
            total = (total + t * prime**i) % 2**64
        signed = total - 2**64 if total >= 2**63 else total
        return signed % buckets

    text, rows = [0] * max(sizes) + tokens.tolist(), []
    for end in range(max(sizes) + 1, len(text) + 1):
        row, table = p["weight"][text[end - 1]], 0
        for prime in BYTE_LATENT[:hashes]:
            for n in sizes:
                row = row + p["grams"][table + bucket(text[end - n : end], prime)]
                table += buckets
        rows.append(row)
    return torch.stack(rows)


def joined(
    p: Params,
    patches: Tensor,
    *,
    count: int,
    width: int | None,
    norm_in: Part | None,
    norm_out: Part | None,
) -> Tensor:
    rows = []
    for patch in patches:
        row = torch.cat([p["weight"][int(t)] for t in patch])[None]
        row = row if norm_in is None else norm_in(under(p, "norm_in"), row)
        row = linear(p, "project", row)
        rows.append(row if norm_out is None else norm_out(under(p, "norm_out"), row))
    return torch.cat(rows)


def patch(p: Params, pixels: Tensor, *, patch: int, channels: int, bias: bool) -> Tensor:
    rows = []
    for values in pixels:
        row = torch.zeros(len(p["weight"]), dtype=torch.float64)
        for i in range(patch):
            for j in range(patch):
                for c in range(channels):
                    at = (i * patch + j) * channels + c
                    row = row + p["weight"][:, at] * values[at]
        rows.append(row + p["bias"] if bias else row)
    return torch.stack(rows)


def media(
    p: Params, x: Tensor, tokens: Tensor, media: Tensor, *, token: int, embed: Part
) -> Tensor:
    found, y = list(embed(under(p, "embed"), media)), x.clone()
    for place, t in enumerate(tokens):
        if t == token:
            y[place] = found.pop(0)
    assert not found
    return y


def equal_patches(p: Params, tokens: Tensor, *, facts: Facts, size: int) -> Tensor:
    return torch.tensor([m % size == 0 for m in facts.positions])


def entropy_patches(
    p: Params, tokens: Tensor, *, facts: Facts, model: Part, threshold: float, size: int | None
) -> Tensor:
    ends, began = [], 0
    for place, logits in enumerate(model(under(p, "model"), tokens, facts=facts)):
        logs = [float(v) for v in log_softmax(logits)]
        surprise = -sum(math.exp(v) * v for v in logs)
        ends.append(place == 0 or surprise > threshold or place + 1 - began == size)
        began = place + 1 if ends[-1] else began
    return torch.tensor(ends)
