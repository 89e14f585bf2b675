"""The scan against a loop, and rows without gaps against indexing by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from blocks import CausalConv, CausalLM, Chain, Residual, RMSNorm, Spec, State, scan
from blocks.errors import GenerationError, SpecError
from blocks.ops.recurrence import scan_loop
from blocks.ops.rows import Rows
from blocks.step import Step

SHAPES = [((2, 13, 3), (2, 13, 3)), ((2, 13, 1, 4), (2, 13, 3, 4)), ((1, 1, 2), (1, 1, 2))]


def case(decay: tuple[int, ...], shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    a = torch.rand(decay, dtype=dtype) * 1.2
    b = torch.randn(shape, dtype=dtype)
    start = torch.randn(shape[0], *shape[2:], dtype=dtype)
    return tuple(x.requires_grad_() for x in (a, b, start))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize(("decay", "shape"), SHAPES)
@pytest.mark.parametrize("chunk", [None, 1, 4, 13, 50])
def test_any_chunk_gives_what_the_loop_gives(
    chunk: int | None, decay: tuple[int, ...], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    x = case(decay, shape, dtype)
    torch.testing.assert_close(scan(*x, chunk=chunk), scan_loop(*x), atol=1e-12, rtol=1e-12)
    weight = torch.randn(shape, dtype=dtype)
    found, wanted = (
        torch.autograd.grad((y * weight).sum().abs(), x)
        for y in (scan(*x, chunk=chunk), scan_loop(*x))
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("kinds", ["rcc", "crr", "rcr", "rrc"])
def test_real_and_complex_numbers_meet(kinds: str) -> None:
    known = {"r": torch.float64, "c": torch.complex128}
    shapes = ((2, 7, 3), (2, 7, 3), (2, 3))
    pairs = zip(shapes, kinds, strict=True)
    x = [torch.randn(shape, dtype=known[kind], requires_grad=True) for shape, kind in pairs]
    found, wanted = scan(*x), scan_loop(*x)
    torch.testing.assert_close(found, wanted)
    grads = (torch.autograd.grad(y.abs().sum(), x) for y in (found, wanted))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_of_gradients() -> None:
    x = case((1, 4, 1), (1, 4, 2), torch.float64)
    assert torch.autograd.gradcheck(scan, x)
    assert torch.autograd.gradgradcheck(scan, x)


def test_a_decay_of_zero_forgets_and_one_keeps() -> None:
    b = torch.randn(1, 9, 2)
    assert torch.equal(scan(torch.zeros(1, 9, 2), b), b)
    torch.testing.assert_close(scan(torch.ones(1, 9, 2), b), b.cumsum(1))


def test_a_start_is_zero_where_none_is_given() -> None:
    a, b, start = case((2, 5, 3), (2, 5, 3), torch.float64)
    assert torch.equal(scan(a, b), scan(a, b, torch.zeros_like(start)))
    halves = scan(a[:, :2], b[:, :2], start), scan(a[:, 2:], b[:, 2:], scan(a, b, start)[:, 1])
    torch.testing.assert_close(torch.cat(halves, 1), scan(a, b, start))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (((1, 4, 2), (1, 3, 2)), "a"),
        (((1, 3, 2), (1, 3, 4)), "a"),
        (((3,), (3,)), "a"),
        (((1, 3, 2), (1, 3, 2), (1, 3)), "start"),
        (((1, 0, 2), (1, 0, 2)), "chunk"),
    ],
)
def test_shapes_that_do_not_fit(arguments: tuple[tuple[int, ...], ...], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        scan(*(torch.ones(shape) for shape in arguments))
    assert caught.value.field == field


def by_hand(real: Tensor, segments: Tensor | None) -> list[list[int]]:
    """The places of every row's tokens, found one by one."""
    rows: list[list[int]] = []
    for row in range(real.shape[0]):
        before = None
        for column in range(real.shape[1]):
            document = 0 if segments is None else int(segments[row, column])
            if document != before:
                rows.append([])
            before = document
            if real[row, column]:
                rows[-1].append(row * real.shape[1] + column)
    return rows


@pytest.mark.parametrize("packed", [False, True])
def test_rows_have_no_gaps(packed: bool) -> None:
    real = torch.rand(4, 9) > 0.4
    real[1] = False  # a row of padding alone
    segments = torch.randint(3, (4, 9)).cummax(1).values if packed else None
    rows = Rows.of(Step(torch.arange(9)[None], real=real, segments=segments))
    x = torch.arange(36).view(4, 9)
    wanted = by_hand(real, segments)
    assert rows.lengths is not None
    assert rows.lengths.tolist() == [len(row) for row in wanted]
    found = rows.take(x)
    for row, places in enumerate(wanted):
        assert found[row, : len(places)].tolist() == places
    assert torch.equal(rows.put(found), x)
    counted = rows.real(found.shape[1])
    assert counted is not None
    assert counted.sum(1).tolist() == rows.lengths.tolist()


def test_tokens_seen_by_choice_are_refused() -> None:
    step = Step(torch.arange(3)[None], seen=torch.ones(1, 3, 3, dtype=torch.bool))
    with pytest.raises(SpecError) as caught:
        Rows.of(step)
    assert caught.value.field == "seen"


def convolved() -> CausalLM:
    mixer = Spec(Residual, inner=Spec(CausalConv, kernel=3), norm_in=RMSNorm)
    layers = (Spec(Chain, steps={"mixer": mixer}),) * 2
    return CausalLM(vocab=11, dim=8, layers=layers, norm=RMSNorm).double().eval()


def test_packed_documents_are_read_as_if_alone() -> None:
    model = convolved()
    parts = [torch.randint(11, (1, n)) for n in (4, 1, 5)]
    segments = torch.tensor([[0] * 4 + [1] + [2] * 5])
    packed = model(torch.cat(parts, 1), segments=segments)
    alone = torch.cat([model(part) for part in parts], 1)
    torch.testing.assert_close(packed, alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("what", ["kind", "batch", "dtype"])
def test_a_state_that_does_not_fit(what: str) -> None:
    conv, x = CausalConv(8), torch.randn(2, 3, 8)
    state = State.of(conv, 3 if what == "batch" else 2)
    if what == "dtype":
        state = State.of(conv, 2, dtype=torch.bfloat16)
    content = "of another block" if what == "kind" else state.content
    with pytest.raises(GenerationError) as caught:
        conv(x, Step.plain(x), content)
    assert caught.value.field == "state"


def test_a_state_and_packed_documents_exclude_each_other() -> None:
    block, x = CausalConv(4), torch.randn(1, 3, 4)
    state = State.of(block, 1)
    step = state.begin(1, 3)
    step.segments = torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(SpecError, match="packed documents") as caught:
        block(x, step, state.content)
    assert caught.value.field == "segments"
