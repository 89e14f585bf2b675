"""Convolutions along time, a sum a place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tests.twins.mlps import ACTIVATIONS, Params, Part, linear, sigmoid, under
from tests.twins.norms import batch_norm, layer_norm


def causal(p: Params, x: Tensor, *, kernel: int = 4, bias: bool = True) -> Tensor:
    """y_t = b + Σ_j w_j ⊙ x_{t−k+1+j}, with zeros before the first token."""
    kernel, y = p["weight"].shape[-1], torch.zeros_like(x)
    for t in range(len(x)):
        for j in range(kernel):
            if t - kernel + 1 + j >= 0:
                y[t] += p["weight"][:, 0, j] * x[t - kernel + 1 + j]
    return y + p["bias"] if "bias" in p else y


def token_shift(p: Params, x: Tensor) -> Tensor:
    kept, y = x.shape[1] - x.shape[1] // 2, x.clone()
    for t in range(len(x)):
        y[t, kept:] = x[t - 1, kept:] if t else 0
    return y


def strided(p: Params, x: Tensor, stride: int, pad: int) -> Tensor:
    """[T C] -> [T' D]: y_n = b + Σ_j W_j x_{n·stride − pad + j}, with zeros outside."""
    weight = p["weight"]  # D C k
    kernel, found = weight.shape[-1], []
    for first in range(-pad, len(x) + pad - kernel + 1, stride):
        y = torch.zeros(len(weight), dtype=x.dtype)
        for j in range(kernel):
            if 0 <= first + j < len(x):
                y = y + (weight[:, :, j] * x[first + j]).sum(-1)
        found.append(y + p["bias"] if "bias" in p else y)
    return torch.stack(found)


def conv_module(
    p: Params,
    x: Tensor,
    *,
    kernel: int,
    norm: Part = batch_norm,
    act: str = "silu",
    bias: bool = False,
) -> Tensor:
    dim = x.shape[1]
    x = strided(under(p, "up"), x, 1, 0)
    x = x[:, :dim] * sigmoid(x[:, dim:])
    weight, mixed = p["mix.weight"], torch.zeros_like(x)
    for t in range(len(x)):
        for j in range(kernel):
            if 0 <= t - kernel // 2 + j < len(x):
                mixed[t] += weight[:, 0, j] * x[t - kernel // 2 + j]
    mixed = mixed + p["mix.bias"] if bias else mixed
    return strided(under(p, "down"), ACTIVATIONS[act](norm(under(p, "norm"), mixed)), 1, 0)


def conv_stem(
    p: Params,
    x: Tensor,
    real: Tensor | None = None,
    *,
    kernels: Sequence[int] = (3, 3),
    strides: Sequence[int] = (1, 2),
    padded: bool = True,
    norm: Part | None = None,
    normed: str = "all",
    act: str = "gelu",
    **_: object,
) -> Tensor:
    length, x = len(x), x if real is None else x[real]
    for n, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
        pad = (kernel - 1) // 2 if padded else 0
        x = strided(under(p, f"convs.{n}"), x, stride, pad)
        if norm is not None and (normed == "all" or n == 0):
            x = norm(under(p, f"norms.{n}"), x)
        x, length = ACTIVATIONS[act](x), (length + 2 * pad - kernel) // stride + 1
    return torch.cat([x, torch.zeros(length - len(x), x.shape[1], dtype=x.dtype)])


def image(weight: Tensor, bias: Tensor, x: Tensor, stride: int, pad: int) -> Tensor:
    """[C T F] -> [H T' F'] of weights [H C k k]; weights [C 1 k k] take a channel each."""
    kernel, alone = weight.shape[-1], weight.shape[1] == 1
    steps = [range(-pad, size + pad - kernel + 1, stride) for size in x.shape[1:]]
    y = torch.zeros(len(weight), *map(len, steps), dtype=x.dtype)
    for n, t in enumerate(steps[0]):
        for m, f in enumerate(steps[1]):
            y[:, n, m] = bias
            for i in range(kernel):
                for j in range(kernel):
                    if 0 <= t + i < x.shape[1] and 0 <= f + j < x.shape[2]:
                        seen, taps = x[:, t + i, f + j], weight[:, :, i, j]
                        y[:, n, m] += taps[:, 0] * seen if alone else (taps * seen).sum(1)
    return y


def subsampling(
    p: Params,
    x: Tensor,
    real: Tensor | None = None,
    *,
    hidden: int,
    kernel: int = 3,
    stride: int = 2,
    depth: int = 3,
    scale: float = 1.0,
) -> Tensor:
    pad = (kernel - 1) // 2
    length, x = len(x), x if real is None else x[real]
    y = image(p["first.weight"], p["first.bias"], x[None], stride, pad).clamp(min=0)
    for n in range(depth - 1):
        y = image(p[f"each.{n}.weight"], p[f"each.{n}.bias"], y, stride, pad)
        y = image(p[f"mix.{n}.weight"], p[f"mix.{n}.bias"], y, 1, 0).clamp(min=0)
    for _ in range(depth):
        length = (length + 2 * pad - kernel) // stride + 1
    flat = [torch.cat([channel[t] for channel in y]) for t in range(y.shape[1])]
    flat += [torch.zeros_like(flat[0])] * (length - len(flat))
    return scale * linear(p, "out", torch.stack(flat))


def molecules(
    p: Params,
    x: Tensor,
    *,
    stride: int = 4,
    kernel: int = 4,
    act: str = "gelu",
    norm: Part = layer_norm,
) -> Tensor:
    count = max(1, len(x) // stride)
    short = [x[0]]
    for m in range(count - 1):
        own = strided(under(p, "shrink"), x[m * stride : (m + 1) * stride], stride, 0)
        short.append(ACTIVATIONS[act](own[0]))
    down = norm(under(p, "norm_shrink"), torch.stack(short))
    both = []
    for t in range(len(x)):
        both.append(torch.cat([x[t], down[min(1 + t // stride, count - 1)]]))
    none, before = torch.zeros(2 * x.shape[1], dtype=x.dtype), (kernel - 1) // 2
    both = torch.stack([none] * before + both + [none] * (kernel - 1 - before))
    up = ACTIVATIONS[act](strided(under(p, "merge"), both, 1, 0))
    return norm(under(p, "norm_merge"), up)
