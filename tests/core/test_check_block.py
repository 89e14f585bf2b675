"""The battery finds what it looks for: each broken promise in a small block of its own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks import (
    MLP,
    CausalLM,
    Full,
    GQAttention,
    KVRing,
    KVState,
    Prefix,
    RMSNorm,
    SpecError,
    Step,
    Window,
)
from blocks.testing import check_block
from tests.blocks.table import LAYER


class Base(nn.Module):
    """A block without fault; the others break one thing each."""

    def __init__(self, dim: int = 4, width: int | None = None):
        super().__init__()
        self.dim = dim
        self.weight = nn.Parameter(torch.randn(width or dim, dim) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight).tanh()


class WrongShape(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., :-1]


class Float32(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


class NotFinite(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).log()


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * 2


class WrongGradient(Base):
    def forward(self, x: Tensor) -> Tensor:
        return Twice.apply(super().forward(x))  # pyright: ignore[reportReturnType]


class Detached(Base):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.detach())


class Random(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(())


class InPlace(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.detach().mul_(0.5)


class Counting(Base):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * self.calls


class BatchMean(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


class ByRow(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.arange(1, len(x) + 1, dtype=x.dtype)[:, None, None]


class Hidden(Base):
    def __init__(self):
        super().__init__()
        self.table = torch.randn(4)

    def __deepcopy__(self, memo: Any) -> Hidden:
        twin = Hidden()
        twin.load_state_dict(self.state_dict())
        return twin

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.table.to(x.dtype)


class Table(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.randn(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.table


class Shared(Base):
    def __deepcopy__(self, memo: Any) -> Shared:
        return copy.copy(self)


class Values(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2.0 if x.sum().item() > 1e9 else 1.0)


class Strides(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.as_strided(x, x.shape, x.new_empty(x.shape).stride()))


BROKEN = [
    (WrongShape, "gives"),
    (Float32, "bfloat16 in, torch.float32 out"),
    (NotFinite, "not finite"),
    (WrongGradient, "finite differences"),
    (Detached, "finite differences"),
    (Random, "the same input twice"),
    (InPlace, "left as they are|the same input twice"),
    (Counting, "the same input twice"),
    (BatchMean, "row 0 alone"),
    (ByRow, "row 1 alone"),
    (Hidden, "deepcopy"),
    (Table, "state_dict"),
    (Shared, "a copy that changes"),
    (Strides, "strides"),
]


def refused(module: nn.Module, words: str, **options: Any) -> None:
    with pytest.raises(AssertionError, match=words) as caught:
        check_block(module, compile=False, **options)
    assert type(module).__name__ in str(caught.value)


@pytest.mark.parametrize(("kind", "words"), BROKEN, ids=[kind.__name__ for kind, _ in BROKEN])
def test_a_broken_promise_is_named(kind: Any, words: str) -> None:
    refused(kind(), words)


def test_a_sound_block_passes_and_is_left_as_it_is() -> None:
    module = Base().train()
    before, x = copy.deepcopy(module.state_dict()), torch.randn(2, 3, 5, 4)
    noise = torch.get_rng_state()
    check_block(module, build=Base, compile=False)
    check_block(module, x, compile=False)
    assert module.training and all(p.dtype == torch.float32 for p in module.parameters())
    assert all(torch.equal(p, before[name]) for name, p in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), noise)


def test_shape() -> None:
    x = torch.randn(2, 5, 4)
    check_block(Base(4, 6), x, shape=(2, 5, 6), compile=False)
    refused(Base(4, 6), "gives", x=x, shape=(2, 5, 7))


def test_values_on_meta() -> None:
    refused(Values(), "on the meta device: RuntimeError: .* meta tensors")


@pytest.mark.parametrize("x", [torch.randn(4), torch.randn(1, 5, 4)])
def test_an_input_of_one_row_is_refused(x: Tensor) -> None:
    with pytest.raises(SpecError, match="two rows"):
        check_block(Base(), x)


def test_no_input_can_be_made() -> None:
    with pytest.raises(SpecError, match="check_block"):
        check_block(nn.Linear(3, 3))


class Uninitialised(Base):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(4))
        nn.init.zeros_(self.bias.data[:2])


def unlike() -> Base:
    Uninitialised.count = getattr(Uninitialised, "count", 0) + 1  # type: ignore[attr-defined]  # a test's counter
    torch.manual_seed(Uninitialised.count)  # type: ignore[attr-defined]  # as above
    return Base()


def pinned() -> Base:
    module = Base()
    module.weight = nn.Parameter(torch.randn(4, 4, device="cpu"))
    return module


def test_builds() -> None:
    refused(Base(), "bias is not initialised", build=Uninitialised)
    refused(Base(), "another after the same seed", build=unlike)
    refused(Base(), "not on the device", build=pinned)


class Peeks(GQAttention):
    """Claims to be causal and looks one token ahead."""

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        return super().forward(x, step, state) + F.pad(x, (0, 0, 0, 1))[:, 1:] * 1e-6


class Padded(GQAttention):
    """Doesn't know padding."""

    def forward(self, x: Tensor, step: Step | None = None, state: Any = None) -> Tensor:
        return super().forward(x, None, None)


class Forgets(GQAttention):
    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> KVState:
        like = {"dtype": dtype, "device": device}
        return KVRing.empty(batch, self.kv_heads, 2, (self.head_dim, self.value_dim), like)


class Lies(KVRing):
    trims = True


class TrimsARing(GQAttention):
    def init_state(self, batch: int, room: int | None, dtype: torch.dtype, device: Any) -> KVState:
        like = {"dtype": dtype, "device": device}
        return Lies.empty(batch, self.kv_heads, 3, (self.head_dim, self.value_dim), like)


@pytest.mark.parametrize(
    ("kind", "words", "options"),
    [
        (Peeks, "later tokens", {}),
        (Padded, "padding", {}),
        (Forgets, "chunks of", {}),
        (TrimsARing, "trimmed", {"mask": Window(3)}),
    ],
)
def test_memory(kind: Any, words: str, options: dict[str, Any]) -> None:
    refused(kind(8, heads=2, **options), words)


def test_causality_is_claimed_by_what_remembers_and_does_not_look_ahead() -> None:
    for mask in (Full(), Prefix(3)):
        check_block(GQAttention(8, heads=2, mask=mask), compile=False)
        refused(GQAttention(8, heads=2, mask=mask), "later tokens", causal=True)
    check_block(MLP(4, hidden=3), torch.randn(2, 5, 4), causal=True, compile=False)


def test_a_model() -> None:
    model = CausalLM(vocab=20, dim=16, layers=(LAYER,), norm=RMSNorm)
    check_block(model, compile=False)
