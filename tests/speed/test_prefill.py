"""Many tokens at once by the library's kernels, beside the plain operations in float64."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import blocks
from blocks import GatedMLP, GQAttention, RMSNorm, RoPE, Spec
from blocks.mlp.activations import activation
from blocks.ops import native
from blocks.wiring.kinds import quicken, unquicken
from blocks.wiring.streamed import ACTS, Streamed
from tests.speed.test_kernels import near
from tests.speed.test_optimize import ATTENTION, model

kernels = pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")
by_pairs = pytest.mark.skipif(not native.MANY, reason="no processor of pairs of bfloat16")
BF16, TOKENS = torch.bfloat16, torch.arange(2 * 40).view(2, 40) * 7 % 50


def draw(*shape: int) -> Tensor:
    return torch.randn(shape).to(BF16)


class Calls(TorchDispatchMode):
    """The names of the library's kernels that are called while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "blocks":
            self.names.append(func._opname)
        return func(*args, **(kwargs or {}))


@by_pairs
@pytest.mark.parametrize("rows", [1, 2, 11, 12, 13, 50, 300, 2048])
@pytest.mark.parametrize("dim", [32, 96, 1056])
def test_dense(rows: int, dim: int) -> None:
    x, weights = draw(rows, dim), [draw(out, dim) for out in (1, 37, 16, 200)]
    biases = [draw(1), torch.empty(0, dtype=BF16), draw(16), draw(200)]
    found: Any = torch.ops.blocks.dense(x, weights, biases)
    pairs = zip(weights, biases, strict=True)
    each = [x.double() @ w.double().T + (b.double() if len(b) else 0) for w, b in pairs]
    assert near(found, torch.cat(each, 1), 5e-3)


@by_pairs
@pytest.mark.parametrize("name", ["silu", "gelu_tanh", "quick_gelu", "relu", "sigmoid", "identity"])
@pytest.mark.parametrize(("rows", "out"), [(7, 37), (40, 64)])
def test_gated(name: Any, rows: int, out: int) -> None:
    x, gate, up, bias = draw(rows, 64), draw(out, 64) / 8, draw(out, 64), draw(out)
    none, act = torch.empty(0, dtype=BF16), activation(name)
    found: Any = torch.ops.blocks.gated(x, [gate, up], [bias, none], ACTS[act])
    wanted = act(x.double() @ gate.double().T + bias.double()) * (x.double() @ up.double().T)
    assert near(found, wanted, 5e-3)


@by_pairs
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("heads", [(4, 4), (6, 2)])
@pytest.mark.parametrize("sizes", [(1, 1), (13, 13), (70, 70), (300, 300), (9, 290)])
@pytest.mark.parametrize("widths", [(64, 64), (32, 96)])
def test_attend(
    causal: bool, heads: tuple[int, int], sizes: tuple[int, int], widths: tuple[int, int]
) -> None:
    h, k = heads
    t, s = sizes
    q = 3 * draw(2, t, h, widths[0]).transpose(1, 2)
    keys, values = draw(2, k, s + 5, widths[0])[:, :, :s], draw(2, s, k, widths[1]).transpose(1, 2)
    found: Any = torch.ops.blocks.attend(q, keys, values, causal, 0.3)
    seen = torch.ones(t, s, dtype=torch.bool).tril(s - t) if causal else None
    parts = q.double(), keys.double(), values.double()
    wanted = F.scaled_dot_product_attention(*parts, seen, scale=0.3, enable_gqa=True)
    assert found.shape == wanted.shape and near(found, wanted, 1e-2)


@by_pairs
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_is_seen(value: float) -> None:
    q, k, v = (draw(1, 1, 40, 32) for _ in range(3))
    k[0, 0, 20] = value
    found: Any = torch.ops.blocks.attend(q, k, v, True, 1.0)
    assert found[:, :, :20].isfinite().all() and found[:, :, 20:].isnan().any()


@kernels
@pytest.mark.parametrize("dtype", [BF16, torch.float16])
@pytest.mark.parametrize("cast", ["before", "after"])
@pytest.mark.parametrize(("dim", "offset"), [(1, 0.0), (31, 1.0), (256, 0.0), (256, 1.0)])
def test_a_norm_is_the_plain_one(dtype: torch.dtype, cast: Any, dim: int, offset: float) -> None:
    norm: Any = RMSNorm(dim, cast=cast, offset=offset).to(dtype)
    nn.init.normal_(norm.weight)
    x = 3 * torch.randn(2, 40, dim).to(dtype)
    with torch.no_grad(), Calls() as calls:
        wanted = norm(x)
        assert not calls.names
        quicken(norm)
        found = norm(x)
    assert calls.names == ["norm"] and found.shape == wanted.shape
    assert float((found != wanted).float().mean()) < 1e-3  # the sum of squares has another order
    assert near(found, wanted.double(), 1e-2)


@kernels
@pytest.mark.parametrize("dtype", [BF16, torch.float16])
@pytest.mark.parametrize("pairing", ["half", "adjacent"])
@pytest.mark.parametrize(("width", "rotated"), [(64, 1.0), (48, 0.5), (6, 1.0)])
def test_a_turn_is_the_plain_one(
    dtype: torch.dtype, pairing: Any, width: int, rotated: float
) -> None:
    rope = RoPE(width, 3, 1, pairing=pairing, rotated=rotated)
    q, k = (torch.randn(2, 40, h, width).to(dtype).transpose(1, 2) for h in (3, 1))
    step = blocks.Step(torch.arange(80).view(2, 40))
    quick = copy.deepcopy(rope)
    quicken(quick)
    with torch.no_grad(), Calls() as calls:
        found, wanted = quick(q, k, step), rope(q, k, step)
    assert calls.names == ["turn"] * 2
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape and near(one, other.double(), 1e-2)


BIASED = blocks.replace(ATTENTION, bias=True, out_bias=True)
MODELS: dict[str, tuple[Spec[Any], int, list[str]]] = {
    "plain": (ATTENTION, 128, ["norm", "dense", "turn", "turn", "attend", "dense", "norm"]),
    "biased": (BIASED, 128, ["norm", "dense", "turn", "turn", "attend", "dense", "norm"]),
    "narrow heads": (ATTENTION, 64, ["norm", "dense", "turn", "turn", "dense", "norm"]),
    "odd width": (ATTENTION, 120, ["norm", "turn", "turn", "norm"]),
}


def read(one: Any, dtype: torch.dtype = BF16) -> Tensor:
    """The logits of two texts, read at once, and of a token after each."""
    with torch.no_grad():
        state = one.init_state(2, 48, dtype)
        parts = [one(TOKENS, None, state), one(TOKENS[:, :1], None, state)]
    return torch.cat(parts, 1)


@by_pairs
@pytest.mark.parametrize("name", MODELS)
def test_a_model_reads_the_same(name: str) -> None:
    spec, dim, layer = MODELS[name]
    first = model(spec, dim).to(BF16)
    quick = blocks.optimize(first, compile=False)
    with torch.no_grad(), Calls() as calls:
        plain = first(TOKENS)
        assert not calls.names
        found = quick(TOKENS)
    products = [] if name == "odd width" else ["gated"]
    wanted = (layer + products + ["dense"]) * 2 + ["norm"] + (["dense"] if products else [])
    assert calls.names == wanted
    exact = read(copy.deepcopy(first).float(), torch.float32)
    off = (read(quick).float() - exact).abs().mean()
    assert off < 1.2 * (read(first).float() - exact).abs().mean()
    torch.testing.assert_close(found, plain, rtol=0.1, atol=0.1 * float(plain.float().std()))


@by_pairs
def test_who_listens_or_looks_in_is_told() -> None:
    first = model(ATTENTION, 128).to(BF16)
    quick: Any = blocks.optimize(first, compile=False)
    names = ("layers.*.attention.q", "layers.*.attention.k", "layers.*.attention.pattern")
    with torch.no_grad():
        for one in (first, quick):
            with blocks.capture(one, *names) as got:
                one(TOKENS)
            patterns = [x for name, x in got.items() if name.endswith("pattern")]
            assert len(got) == 6 and all(x.shape == (2, 4, 40, 40) for x in patterns)
        heard: list[nn.Module] = []
        parts = [part for part in quick.layers[0].modules() if not [*part.children()]]
        listened = [part for part in parts if not isinstance(part, nn.ModuleList)]
        for part in listened:
            part.register_forward_hook(lambda module, given, y: heard.append(module))
        quick(TOKENS)
    assert {*heard} == {*listened} and len(heard) == len(listened)


@by_pairs
def test_who_changes_a_matrix_changes_the_gate() -> None:
    mlp = GatedMLP(32, hidden=64).to(BF16)
    quicken(mlp)
    listened: Any = mlp.up
    listened.register_forward_hook(lambda module, given, y: 0 * y)
    with torch.no_grad():
        assert not mlp(draw(1, 40, 32)).any()


@by_pairs
def test_what_is_learnt_takes_the_plain_way() -> None:
    attention = GQAttention(64, heads=2, qk=(Spec(RoPE),))
    parts = [attention, GatedMLP(64, hidden=96), RMSNorm(64)]
    for part in parts:
        part.to(BF16)
        x = draw(1, 40, 64).requires_grad_()
        wanted = torch.autograd.grad(part(x).float().square().sum(), [x, *part.parameters()])
        quicken(part)
        with Calls() as calls:
            found = torch.autograd.grad(part(x).float().square().sum(), [x, *part.parameters()])
        assert not calls.names
        assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


@by_pairs
def test_a_copy_is_quick_and_an_undone_one_is_not() -> None:
    layer: Any = nn.Sequential(nn.Linear(32, 48), RMSNorm(48)).to(BF16)
    quicken(layer)
    twin = copy.deepcopy(layer)
    unquicken(layer)
    assert type(layer[0]) is nn.Linear and not layer[1].quick
    assert type(twin[0]) is Streamed and twin[1].quick
    with torch.no_grad(), Calls() as calls:
        near(twin(draw(40, 32)), layer(draw(40, 32)).double(), 1.0)
    assert calls.names == ["dense", "norm"]


@kernels
def test_without_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor that multiplies none."""
    monkeypatch.setattr(native, "MANY", 0)
    first = model(ATTENTION, 128).to(BF16)
    quick = blocks.optimize(first, compile=False)
    with torch.no_grad(), Calls() as calls:
        found, wanted = quick(TOKENS), first(TOKENS)
    assert {*calls.names} == {"norm", "turn"}
    torch.testing.assert_close(found, wanted, rtol=0.1, atol=0.1 * float(wanted.float().std()))
