"""Blocks that hold others, each of which is a twin itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tests.twins.facts import Facts
from tests.twins.mlps import ACTIVATIONS, Params, Part, linear, under

Parts = Mapping[str, Part]


def chain(p: Params, x: Tensor, facts: Facts, *, steps: Parts) -> Tensor:
    for name, part in steps.items():
        x = part(under(p, name), x, facts=facts)
    return x


def checkpointed(p: Params, x: Tensor, facts: Facts, *, inner: Part) -> Tensor:
    return inner(p, x, facts=facts)


def dropout(p: Params, x: Tensor) -> Tensor:
    return x


def gated_mixer(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    steps: Parts,
    inner: int | None = None,
    act: str = "gelu_tanh",
    bias: bool = True,
) -> Tensor:
    y = chain(p, linear(p, "up", x), facts, steps=steps)
    return linear(p, "down", ACTIVATIONS[act](linear(p, "gate", x)) * y)


def matrix(p: Params, x: Tensor, *, out_dim: int | None = None, bias: bool = False) -> Tensor:
    y = torch.stack([(p["weight"] * v).sum(-1) for v in x])
    return y + p["bias"] if bias else y


def packed(
    p: Params, x: Tensor, *, out_dim: int | None = None, bits: int = 8, bias: bool = False
) -> Tensor:
    """Sixteen outputs lie side by side for each four bytes, and half a byte may be a weight."""
    y = torch.zeros(len(x), out_dim or x.shape[-1], dtype=x.dtype)
    scale = p["scale"].view(torch.float16)
    for o in range(y.shape[-1]):
        for i in range(x.shape[-1]):
            tile, row, group, at = o // 16, o % 16, i // 32, i % 32
            own = p["packed"][tile, group]
            if bits == 8:
                whole = int(own[at // 4 * 64 + row * 4 + at % 4]) - 128
            else:
                half, at = at // 16, at % 16
                byte = int(own[at // 4 * 64 + row * 4 + at % 4])
                whole = (byte // 16 if half else byte % 16) - 8
            y[:, o] += whole * float(scale[tile, group, row]) * x[:, i]
    return y + p["bias"] if bias else y


def merged(parts: list[Tensor], merge: str) -> Tensor:
    if merge == "concat":
        return torch.cat(parts, -1)
    y = parts[0]
    for part in parts[1:]:
        y = y + part if merge == "sum" else y * part
    return y


def load(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    name: str,
    inner: Part | None = None,
    merge: str = "concat",
    width: int | None = None,
) -> Tensor:
    y = merged([x, facts.saved[name]], merge)
    return y if inner is None else inner(p, y, facts=facts)


def save(p: Params, x: Tensor, *, name: str) -> Tensor:
    return x


def widen(p: Params, x: Tensor) -> Tensor:
    return x


def _with(p: Params, on: tuple[str, ...], scale: float, lengths: bool = False) -> dict[str, Tensor]:
    """The parameters with sums in the places of some matrices."""
    p = dict(p)
    for name in (f"{one}.".lstrip(".") for one in on):
        w = p[f"{name}weight"] + scale * p.pop(f"{name}b.weight") @ p.pop(f"{name}a.weight")
        if lengths:
            w = w * (p.pop(f"{name}magnitude") / (w * w).sum(1).sqrt())[:, None]
        p[f"{name}weight"] = w
    return p


def low_rank(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    inner: Part,
    on: tuple[str, ...],
    rank: int,
    scale: float = 1.0,
    vocab: int | None = None,
) -> Tensor:
    """The inner block with other matrices, each with its small one added."""
    return inner(_with(p, on, scale), x, facts=facts, vocab=vocab)


def dora(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    inner: Part,
    on: tuple[str, ...],
    rank: int,
    scale: float = 1.0,
    vocab: int | None = None,
) -> Tensor:
    """The same with rows of other lengths."""
    return inner(_with(p, on, scale, lengths=True), x, facts=facts, vocab=vocab)


def factored(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    inner: Part,
    rank: Mapping[str, int],
    vocab: int | None = None,
) -> Tensor:
    """The inner block with products in the places of some matrices."""
    p = dict(p)
    for name in rank:
        a, b = p.pop(f"{name}.a.weight"), p.pop(f"{name}.b.weight")
        p[f"{name}.weight"] = (b[:, :, None] * a[None]).sum(1)
        if f"{name}.b.bias" in p:
            p[f"{name}.bias"] = p.pop(f"{name}.b.bias")
    return inner(p, x, facts=facts, vocab=vocab)


def normed(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    inner: Part,
    norm_in: Part | None = None,
    norm_out: Part | None = None,
) -> Tensor:
    x = x if norm_in is None else norm_in(under(p, "norm_in"), x)
    y = inner(p, x, facts=facts)
    return y if norm_out is None else norm_out(under(p, "norm_out"), y)


def parallel(p: Params, x: Tensor, facts: Facts, *, branches: Parts, merge: str = "sum") -> Tensor:
    return merged([part(under(p, n), x, facts=facts) for n, part in branches.items()], merge)


def residual(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    inner: Part,
    norm_in: Part | None = None,
    norm_out: Part | None = None,
    norm_after: Part | None = None,
    scale: float = 1.0,
    carry: float = 1.0,
) -> Tensor:
    y = normed(p, x, facts, inner=inner, norm_in=norm_in, norm_out=norm_out)
    y = carry * x + scale * y
    return y if norm_after is None else norm_after(under(p, "norm_after"), y)


def resized(
    p: Params, x: Tensor, facts: Facts, *, inner: Part, width: int, vocab: int | None = None
) -> Tensor:
    return inner(p, x, facts=facts, dim=width, vocab=vocab)


def reversible(p: Params, x: Tensor, facts: Facts, *, steps: Parts) -> Tensor:
    (f, f_twin), (g, g_twin) = steps.items()
    half = x.shape[1] // 2
    y1 = x[:, :half] + f_twin(under(p, f), x[:, half:], facts=facts)
    y2 = x[:, half:] + g_twin(under(p, g), y1, facts=facts)
    return torch.cat([y1, y2], -1)
