"""The kernels of a training step: the numbers of the plain way, and where they stay out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import blocks
from blocks import (
    CausalLM,
    Chain,
    Checkpointed,
    GatedMLP,
    GQAttention,
    LMHead,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    Step,
    next_token_loss,
)
from blocks.ops import crossentropy, native
from blocks.ops.attend import attend
from blocks.ops.crossentropy import linear_cross_entropy
from blocks.ops.watch import enter, leave, opened

ROUNDING = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}

kernels = pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")
Case = tuple[Callable[..., Tensor], list[Tensor]]


@pytest.fixture(autouse=True)
def _on() -> Iterator[None]:
    native.learn(True)
    yield
    native.learn(False)


def norm(**options: Any) -> Case:
    block = RMSNorm(48, **options)

    def run(x: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(block, {"weight": weight}, (x,))

    return run, [torch.randn(3, 5, 48), torch.randn(48)]


def gate(act: Any) -> Case:
    block = GatedMLP(4, hidden=32, act=act)
    return block.gated, [3 * torch.randn(2, 7, 32), torch.randn(2, 7, 32)]


def turn(heads: int) -> Case:
    rope = RoPE(32, heads, heads)
    step = Step(torch.tensor([[0, 1, 2, 3], [5, 6, 7, 9]]))

    def run(x: Tensor) -> Tensor:
        table = rope.table(step.positions, step.length, x.dtype)
        return rope._turned(x.unflatten(-1, (heads, 32)).transpose(1, 2), table)

    return run, [torch.randn(2, 4, heads * 32)]


def attention(heads: tuple[int, int], tokens: int, widths: tuple[int, int]) -> Case:
    each = heads[0], heads[1], heads[1]
    given = [torch.randn(2, tokens, n * widths[i > 1]) for i, n in enumerate(each)]

    def run(*parts: Tensor) -> Tensor:
        q, k, v = (
            t.unflatten(-1, (n, -1)).transpose(1, 2) for t, n in zip(parts, each, strict=True)
        )
        return attend(q, k, v, causal=True)

    return run, given


def loss(vocab: int, bias: bool, scale: float) -> Case:
    targets = torch.randint(vocab, (9,))
    given = [torch.randn(9, 16), torch.randn(vocab, 16), torch.randn(vocab)][: 2 + bias]

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return linear_cross_entropy(x, weight, targets, bias=bias, scale=scale)

    return run, given


CASES: dict[str, Callable[[], Case]] = {
    "norm": lambda: norm(eps=1e-5),
    "norm after": lambda: norm(eps=1e-2, offset=1.0, cast="after"),
    "silu": lambda: gate("silu"),
    "quick_gelu": lambda: gate("quick_gelu"),
    "gelu_tanh": lambda: gate("gelu_tanh"),
    "turn": lambda: turn(3),
    "loss": lambda: loss(300, False, 1.0),
    "loss in parts": lambda: loss(1000, True, 0.5),
}
ATTENTION: dict[str, Callable[[], Case]] = {
    "one": lambda: attention((1, 1), 1, (32, 32)),
    "grouped": lambda: attention((4, 2), 37, (64, 64)),
    "long": lambda: attention((2, 1), 300, (32, 64)),
}


def grown(case: Case, kind: torch.dtype) -> list[Tensor]:
    """What comes out, and the gradients."""
    run, given = case
    leaves = [t.to(kind).requires_grad_() for t in given]
    y = run(*leaves)
    pull = torch.linspace(-1, 1, y.numel()).to(kind).view(y.shape) if y.dim() else y.new_tensor(3.0)
    return [y.detach(), *torch.autograd.grad(y, leaves, pull.to(y.dtype))]


def near(case: Case, kind: torch.dtype, allowed: float) -> None:
    run, given = case
    rounded = [t.to(kind) for t in given]
    with Kernels() as seen:
        ours = grown((run, rounded), kind)
    assert seen.ran
    plain = grown((run, [t.double() for t in rounded]), torch.float64)
    for one, other in zip(ours, plain, strict=True):
        assert float((one - other).abs().max()) <= allowed * float(other.abs().max())


class Kernels(TorchDispatchMode):
    """Whether any ran."""

    ran = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.ran |= func.namespace == "blocks"
        return func(*args, **(kwargs or {}))


@kernels
@pytest.mark.parametrize("kind", ROUNDING, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_kernels_are_the_plain_way(
    name: str, kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossentropy, "FEWEST", 1)
    monkeypatch.setattr(crossentropy, "PIECE", 9 * 250)
    near(CASES[name](), kind, ROUNDING[kind])


@kernels
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_the_plain_way(name: str) -> None:
    if not torch.ops.blocks.attends():
        pytest.skip("this processor doesn't multiply pairs")
    near(ATTENTION[name](), torch.bfloat16, ROUNDING[torch.bfloat16])


@kernels
@pytest.mark.parametrize("name", ["norm", "norm after", "silu", "gelu_tanh", "turn"])
def test_second_derivatives_are_the_plain_ones(name: str) -> None:
    case = CASES[name]()

    def second() -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in case[1]]
        first = torch.autograd.grad(case[0](*leaves).pow(2).sum(), leaves, create_graph=True)
        total = torch.stack([(g * g).sum() for g in first]).sum()
        return list(torch.autograd.grad(total, leaves))

    ours = second()
    native.learn(False)
    for one, other in zip(ours, second(), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def out_of_place() -> dict[str, Callable[[], Tensor]]:
    x = torch.randn(4, 32, requires_grad=True)
    heads = [torch.randn(1, 2, 5, 32, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]

    def looked() -> Tensor:
        takers = {"pattern": lambda t: t}
        with opened():
            enter(takers)
            y = attend(*heads, causal=True)
            leave(takers)
        return y

    return {
        "float64": lambda: RMSNorm(32).double()(x.double()),
        "another dtype": lambda: RMSNorm(32)(x.bfloat16()),
        "odd width": lambda: RMSNorm(24)(x[:, :24]),
        "another way to round": lambda: RMSNorm(32, cast="statistics")(x),
        "another activation": lambda: GatedMLP(4, hidden=32, act="relu").gated(x, x),
        "float32 heads": lambda: attend(*(t.float() for t in heads), causal=True),
        "a mask": lambda: attend(*heads, seen=torch.ones(5, 5, dtype=torch.bool)),
        "a pattern looked at": looked,
        "a cap": lambda: linear_cross_entropy(x, x, torch.tensor([0, 1, 2, 3]), cap=2.0),
    }


@pytest.mark.parametrize("name", out_of_place())
def test_where_they_stay_out(name: str) -> None:
    run = out_of_place()[name]
    with Kernels() as seen:
        run()
    assert not seen.ran


@kernels
def test_nothing_to_learn_takes_the_plain_way() -> None:
    norm, x = RMSNorm(32), torch.randn(3, 32)
    with torch.no_grad():
        quiet = norm(x)
    native.learn(False)
    assert torch.equal(quiet, norm(x))


def model(wrap: bool = False) -> CausalLM:
    attention = Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(RoPE),))
    steps = {"attention": attention, "mlp": Spec(GatedMLP, hidden=96)}
    parts = {n: Spec(Residual, inner=s, norm_in=RMSNorm) for n, s in steps.items()}
    layer = Spec(Chain, steps=parts)
    layer = Spec(Checkpointed, inner=layer) if wrap else layer
    torch.manual_seed(1)
    return CausalLM(vocab=301, dim=128, layers=(layer,) * 2, norm=RMSNorm, head=LMHead)


def step(made: CausalLM, tokens: Tensor, **how: Any) -> list[Tensor]:
    loss = next_token_loss(made, tokens, **how)
    return [loss.detach(), *torch.autograd.grad(loss, list(made.parameters()))]


@kernels
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("padded", [False, True])
def test_a_whole_step(kind: torch.dtype, padded: bool) -> None:
    made, tokens = model().to(kind), torch.randint(301, (2, 40))
    mask = torch.arange(40) < torch.tensor([[40], [23]]) if padded else None
    ours = step(made, tokens, mask=mask)
    native.learn(False)
    exact = step(copy.deepcopy(made).double(), tokens, mask=mask)
    plain = step(made, tokens, mask=mask)
    for one, other, right in zip(ours, plain, exact, strict=True):
        off, theirs = (float((t - right).norm()) for t in (one, other))
        assert off <= 1.5 * theirs + ROUNDING[kind] / 10 * float(right.norm())


@kernels
def test_a_checkpointed_step_is_the_same() -> None:
    tokens = torch.randint(301, (2, 40))
    pair = (step(model(wrap).bfloat16(), tokens) for wrap in (False, True))
    for one, other in zip(*pair, strict=True):
        assert torch.equal(one, other)


@kernels
def test_who_goes_back_twice_finds_the_same() -> None:
    made = model().bfloat16()
    loss, some = next_token_loss(made, torch.randint(301, (2, 40))), list(made.parameters())
    first = torch.autograd.grad(loss, some, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(loss, some), strict=True):
        assert torch.equal(one, other)


def test_without_a_compiler_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "obstacle", lambda: "there is no compiler")
    with pytest.warns(UserWarning, match="there is no compiler"):
        blocks.use_kernels()


@kernels
@pytest.mark.parametrize("place", [-1, 24])
def test_a_target_that_is_no_column_is_refused(place: int) -> None:
    """The kernel writes where a target says: nowhere else than in its row."""
    logits = [torch.zeros(2, 16), torch.zeros(2, 8)]
    with pytest.raises(RuntimeError, match="a target is no column"):
        torch.ops.blocks.cross_entropy(logits, torch.tensor([3, place]), 1.0, True)
    assert not any(part.any() for part in logits)
