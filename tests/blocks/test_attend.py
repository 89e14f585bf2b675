"""Softmax attention: the fast path, the plain path and a naive twin say the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks.attention.softcap import SoftCap
from blocks.ops.attend import attend, attend_plain, attention_weights

B, H, E, V = 2, 4, 8, 6


def naive(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    seen: Tensor | None = None,
    causal: bool = False,
    bias: Tensor | None = None,
    maps: Any = (),
    sinks: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """One row, head and query at a time, in float64."""
    q, k, v = q.double(), k.double(), v.double()
    b, h, t, e = q.shape
    s, group = k.shape[2], h // k.shape[1]
    allowed = torch.ones(b, h, t, s, dtype=torch.bool) if seen is None else seen.expand(b, h, t, s)
    added = torch.zeros(b, h, t, s) if bias is None else bias.expand(b, h, t, s)
    y = torch.zeros(b, h, t, v.shape[-1], dtype=torch.float64)
    for i in range(b):
        for j in range(h):
            for n in range(t):
                scores = k[i, j // group] @ q[i, j, n] * (e**-0.5 if scale is None else scale)
                for function in maps:
                    scores = function(scores)
                scores = scores + added[i, j, n].double()
                keys = allowed[i, j, n] & ((torch.arange(s) <= n) if causal else True)
                powers = scores[keys].exp()
                total = powers.sum() + (0 if sinks is None else sinks[j].double().exp())
                if keys.any():
                    y[i, j, n] = (powers / total) @ v[i, j // group][keys]
    return y


def inputs(kv_heads: int, t: int, s: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    shapes = [(B, H, t, E), (B, kv_heads, s, E), (B, kv_heads, s, V)]
    return [torch.randn(shape, dtype=dtype) for shape in shapes]


def seen_for(kind: str | None, t: int, s: int) -> Tensor | None:
    random = torch.rand(B, 1, t, s) > 0.4
    random[..., 0] = True
    blind = random.clone()
    blind[0, :, -1] = False
    kinds = {
        None: None,
        "padding": random[:, :, :1],
        "shared": random[:1],
        "table": random,
        "per head": torch.rand(B, H, t, s) > 0.3,
        "nothing seen": blind,
    }
    return kinds[kind]


def bias_for(kind: str | None, t: int, s: int) -> Tensor | None:
    shapes = {None: None, "full": (B, H, t, s), "per head": (1, H, t, s), "keys": (1, H, 1, s)}
    shape = shapes[kind]
    return None if shape is None else torch.randn(shape)


def agree(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> None:
    wanted = naive(q, k, v, **options)
    for path in (attend, attend_plain):
        torch.testing.assert_close(path(q, k, v, **options).double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("t", "s"), [(1, 1), (1, 7), (5, 5), (3, 7)])
@pytest.mark.parametrize("seen", [None, "padding", "shared", "table", "per head", "nothing seen"])
@pytest.mark.parametrize("bias", [None, "full", "per head", "keys"])
def test_masks_and_biases(
    kv_heads: int, t: int, s: int, seen: str | None, bias: str | None
) -> None:
    q, k, v = inputs(kv_heads, t, s)
    agree(q, k, v, seen=seen_for(seen, t, s), bias=bias_for(bias, t, s))


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("t", [1, 2, 6])
@pytest.mark.parametrize("bias", [None, "full", "per head", "keys"])
def test_causal(kv_heads: int, t: int, bias: str | None) -> None:
    q, k, v = inputs(kv_heads, t, t)
    agree(q, k, v, causal=True, bias=bias_for(bias, t, t))


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("t", "s"), [(1, 7), (5, 5)])
@pytest.mark.parametrize("seen", [None, "table", "nothing seen"])
@pytest.mark.parametrize("bias", [None, "per head"])
@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("maps", [(), (SoftCap(H, cap=0.5), torch.sin)], ids=["", "maps"])
def test_maps_and_sinks(
    kv_heads: int, t: int, s: int, seen: str | None, bias: str | None, sinks: bool, maps: Any
) -> None:
    q, k, v = inputs(kv_heads, t, s)
    sink = torch.randn(H) if sinks else None
    agree(q, k, v, seen=seen_for(seen, t, s), bias=bias_for(bias, t, s), sinks=sink, maps=maps)


def test_maps_act_in_order_and_before_biases() -> None:
    q, k, v = inputs(2, 3, 3)
    double, cap = (lambda x: x * 2), SoftCap(H, cap=0.3)
    bias = bias_for("full", 3, 3)
    one = attend(q, k, v, maps=[double, cap], bias=bias)
    other = attend(q, k, v, maps=[cap, double], bias=bias)
    assert not torch.allclose(one, other, atol=1e-3)
    agree(q, k, v, maps=[double, cap], bias=bias)


@pytest.mark.parametrize("scale", [1.0, 0.01])
@pytest.mark.parametrize("sinks", [None, torch.zeros(H)], ids=["", "sinks"])
def test_scale(scale: float, sinks: Tensor | None) -> None:
    q, k, v = inputs(2, 4, 4)
    agree(q, k, v, scale=scale, sinks=sinks)
    assert not torch.allclose(
        attend(q, k, v, scale=scale, sinks=sinks), attend(q, k, v, sinks=sinks)
    )


def test_a_query_that_sees_nothing_gets_zeros() -> None:
    q, k, v = inputs(2, 3, 3)
    seen = torch.tensor([[False] * 3, [True] * 3, [True] * 3])[None, None]
    for path in (attend, attend_plain):
        for bias in (None, torch.zeros(1, H, 3, 3)):
            for sinks in (None, torch.zeros(H)):
                y = path(q, k, v, seen=seen, bias=bias, sinks=sinks)
                assert y[:, :, 0].eq(0).all() and y[:, :, 1:].ne(0).all()


def test_large_scores_and_sinks_stay_finite() -> None:
    q, k, v = inputs(2, 3, 3)
    for sinks in (None, torch.full((H,), 1e4), torch.full((H,), -1e4)):
        for path in (attend, attend_plain):
            assert path(q * 1e3, k * 1e3, v, sinks=sinks).isfinite().all()


def test_the_pattern_sums_to_one_without_what_sinks_take() -> None:
    q, k, _ = inputs(2, 4, 4)
    pattern = attention_weights(q, k, causal=True)
    torch.testing.assert_close(pattern.sum(-1), torch.ones(B, H, 4))
    assert pattern.triu(1).eq(0).all()
    assert attention_weights(q, k, causal=True, sinks=torch.zeros(H)).sum(-1).lt(1).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", [{}, {"sinks": torch.zeros(H)}], ids=["", "sinks"])
def test_sixteen_bits(dtype: torch.dtype, options: dict[str, Any]) -> None:
    q, k, v = inputs(2, 5, 5, dtype)
    bias = bias_for("per head", 5, 5)
    wanted = naive(q, k, v, causal=True, bias=bias, **options)
    for path in (attend, attend_plain):
        y = path(q, k, v, causal=True, bias=bias, **options)
        assert y.dtype == dtype
        torch.testing.assert_close(y.double(), wanted, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("t", [1, 4])
@pytest.mark.parametrize("seen", [None, "table", "nothing seen"])
@pytest.mark.parametrize("extra", ["", "bias", "maps", "sinks"])
def test_gradients(kv_heads: int, t: int, seen: str | None, extra: str) -> None:
    leaves = inputs(kv_heads, t, 4, torch.float64)
    table = seen_for(seen, t, 4)
    options: dict[str, Any] = {"maps": [SoftCap(H, cap=1.0)]} if extra == "maps" else {}
    if extra == "bias":
        options["bias"] = torch.randn(1, H, t, 4, dtype=torch.float64)
    if extra == "sinks":
        options["sinks"] = torch.randn(H, dtype=torch.float64)
    leaves += [value for value in options.values() if isinstance(value, Tensor)]
    found = []
    for path in (attend, attend_plain, naive):
        for leaf in leaves:
            leaf.requires_grad_().grad = None
        y = path(*leaves[:3], seen=table, **options)
        y.square().sum().backward()
        found.append([leaf.grad for leaf in leaves])
    for grads in found[:2]:
        torch.testing.assert_close(grads, found[2], rtol=1e-7, atol=1e-9)
    assert all(grad is not None and grad.isfinite().all() for grad in found[0])


def test_dropout_drops_weights_and_keeps_the_mean() -> None:
    q, k, v = (x.expand(500, -1, -1, -1) for x in (x[:1] for x in inputs(4, 2, 6)))
    whole = attend(q, k, v)[0]
    for path in (attend, attend_plain):
        y = path(q, k, v, dropout=0.3)
        assert not torch.allclose(y[0], y[1])
        torch.testing.assert_close(y.mean(0), whole, rtol=0, atol=0.15)


def test_attention_weights_match_the_output() -> None:
    q, k, v = inputs(2, 3, 5)
    seen, sinks = seen_for("table", 3, 5), torch.randn(H)
    pattern = attention_weights(q, k, seen=seen, sinks=sinks, scale=math.pi)
    wanted = attend(q, k, v, seen=seen, sinks=sinks, scale=math.pi)
    torch.testing.assert_close(pattern @ v.repeat_interleave(2, 1), wanted)
