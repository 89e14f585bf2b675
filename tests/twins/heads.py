"""Heads, token by token or text by text. One sequence: x [T D]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.twins.facts import Facts
from tests.twins.mlps import ACTIVATIONS, Params, linear, under

Part = Callable[..., Any]


def log_softmax(scores: Tensor) -> Tensor:
    """Of one vector."""
    most = scores.max()
    return scores - most - math.log(sum(math.exp(float(s - most)) for s in scores))


def softmax(scores: Tensor) -> Tensor:
    return torch.exp(log_softmax(scores))


def project(p: Params, x: Tensor, bias: bool) -> Tensor:
    """The table's rows times x."""
    y = torch.stack([(x * row).sum(-1) for row in p["weight"]], -1)
    return y + p["bias"] if bias else y


def language(
    p: Params, x: Tensor, *, bias: bool, scale: float, cap: float | None, width: int | None
) -> Tensor:
    logits = project(p, linear(p, "project", x) if width else x, bias) * scale
    return logits if cap is None else cap * torch.tanh(logits / cap)


def masked(
    p: Params,
    x: Tensor,
    *,
    width: int | None,
    act: str,
    norm: Part,
    dense_bias: bool,
    bias: bool,
) -> Tensor:
    assert ("dense.bias" in p) is dense_bias and len(p["dense.weight"]) == (width or x.shape[-1])
    return project(p, norm(under(p, "norm"), ACTIVATIONS[act](linear(p, "dense", x))), bias)


def adaptive(
    p: Params,
    x: Tensor,
    *,
    vocab: int,
    cutoffs: tuple[int, ...],
    width: int | None,
    div: int,
) -> Tensor:
    """Where div is 1 one table holds all clusters' rows, and each has a projection of its own."""
    edges = [0, *cutoffs, vocab]
    rows = []
    for v in x:

        def narrow(i: int, v: Tensor = v) -> Tensor:
            wide = p.get(f"projections.{i}")
            return v if wide is None else torch.stack([(v * column).sum() for column in wide.T])

        def scores(i: int) -> list[Tensor]:
            table, first = (i, edges[i]) if div > 1 else (0, 0)
            rows, biases = p[f"tables.{table}"], p[f"biases.{table}"]
            own = range(edges[i] - first, edges[i + 1] - first)
            return [sum(rows[n] * narrow(i)) + biases[n] for n in own]

        choice = list(linear(p, "choice", narrow(0))) if cutoffs else []
        head = log_softmax(torch.stack([*scores(0), *choice]))
        logs = [head[: edges[1]]]
        for i in range(1, len(cutoffs) + 1):
            logs.append(head[edges[1] + i - 1] + log_softmax(torch.stack(scores(i))))
        rows.append(torch.cat(logs))
    return torch.stack(rows)


def layer_mix(p: Params, x: Tensor) -> Tensor:
    """x [N+1 T D]."""
    shares = zip(softmax(p["weight"]), x, strict=True)
    return torch.stack([share * state for share, state in shares]).sum(0)


def mixture(p: Params, x: Tensor, *, components: int) -> Tensor:
    assert len(p["linear.weight"]) == 6 * components + 1
    return linear(p, "linear", x)


def pooled(x: Tensor, kind: str) -> Tensor:
    if kind in ("first", "last"):
        return x[0] if kind == "first" else x[-1]
    columns = [[float(v) for v in x[:, d]] for d in range(x.shape[1])]
    found = [sum(c) / len(c) if kind == "mean" else max(c) for c in columns]
    return torch.tensor(found, dtype=torch.float64)


def pooler(p: Params, x: Tensor, *, act: str) -> Tensor:
    return ACTIVATIONS[act](linear(p, "dense", x[0]))


def sentence(p: Params, x: Tensor, *, pool: str, unit: bool) -> Tensor:
    y = pooled(x, pool)
    return y / math.sqrt(sum(float(v) ** 2 for v in y)) if unit else y


def token(
    p: Params,
    x: Tensor,
    *,
    act: str | None,
    norm: Part | None,
    dense_bias: bool,
    labels: int = 2,
) -> Tensor:
    """Of a span there are two labels: its begin and its end."""
    if act is not None:
        assert ("dense.bias" in p) is dense_bias
        x = ACTIVATIONS[act](linear(p, "dense", x))
    x = x if norm is None else norm(under(p, "norm"), x)
    y = linear(p, "out", x)
    assert y.shape[-1] == labels
    return y


def sequence(p: Params, x: Tensor, *, pool: str, width: int | None, **how: Any) -> Tensor:
    """A token head for the vector of the text."""
    assert width is None or len(p["dense.weight"]) == width
    return token(p, pooled(x, pool), **how)


def pretraining(
    p: Params, x: Tensor, *, facts: Facts, masked: Part, pairs: Part
) -> tuple[Tensor, Tensor]:
    tokens = masked(under(p, "masked"), x, facts=facts)
    return tokens, pairs(under(p, "pairs"), x, facts=facts)


def span_search(
    p: Params, x: Tensor, *, begins: int, ends: int, norm: Part
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    def best(shares: Tensor, count: int) -> list[int]:
        return sorted(range(len(x)), key=lambda t: -float(shares[t]))[:count]

    p_begin = softmax(linear(p, "begin", x)[:, 0])
    first = best(p_begin, begins)
    last, likely = [], []
    for s in first:
        logits = []
        for v in x:
            pair = torch.tanh(linear(p, "pair", torch.cat([v, x[s]])))
            logits.append(linear(p, "end", norm(under(p, "norm"), pair[None])[0])[0])
        q = softmax(torch.stack(logits))
        last.append(best(q, ends))
        likely.append([float(q[t]) for t in last[-1]])
    mean = torch.stack([share * v for share, v in zip(p_begin, x, strict=True)]).sum(0)
    whole = torch.tanh(linear(p, "whole", torch.cat([mean, x[-1]])))
    return (
        p_begin[first],
        torch.tensor(first),
        torch.tensor(likely, dtype=torch.float64),
        torch.tensor(last),
        linear(p, "absent", whole)[0],
    )
