"""Chunk attention is attention with a mask of chunks, and Reversible is its two equations."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import (
    MLP,
    AxialPositions,
    Causal,
    ChunkAttention,
    CircleAttention,
    Full,
    GenerationError,
    GQAttention,
    LayerNorm,
    LearnedPositions,
    Mask,
    NearChunks,
    Normed,
    RepeatedEmbedding,
    Reversible,
    Spec,
    SpecError,
    State,
    Step,
    TokenEmbedding,
    Window,
)
from blocks.testing.subject import disturb
from tests.blocks.watch import largest

B, T, D = 2, 11, 16


def draw(tokens: int = T) -> Tensor:
    return torch.randn(B, tokens, D, dtype=torch.float64)


def pair(**options: Any) -> tuple[ChunkAttention, GQAttention]:
    """Chunk attention, and attention with the same weights and the mask."""
    chunked = ChunkAttention(D, heads=4, **options).double().eval()
    rest = {name: options[name] for name in ("bias", "out_bias", "head_dim") if name in options}
    plain = GQAttention(D, heads=4, mask=chunked.mask, **rest).double().eval()
    disturb(chunked)
    plain.load_state_dict(chunked.state_dict())
    return chunked, plain


MASKS = [Causal(), Full(), Window(4)]
NEAR = [(3, 1, 0), (3, 0, 0), (4, 2, 1), (1, 1, 1), (5, 0, 2), (2, 7, 0), (T, 1, 0), (20, 1, 1)]


@pytest.mark.parametrize(("mask", "near"), list(product(MASKS, NEAR)))
def test_it_is_attention_with_a_mask(mask: Mask, near: tuple[int, int, int]) -> None:
    sizes = dict(zip(("chunk", "before", "after"), near, strict=True))
    chunked, plain = pair(mask=mask, bias=True, out_bias=True, head_dim=6, **sizes)
    x = draw()
    torch.testing.assert_close(chunked(x), plain(x))
    real = torch.rand(B, T, generator=torch.Generator().manual_seed(1)) > 0.3
    step = Step((real.cumsum(1) - 1).clamp(min=0), real=real)
    torch.testing.assert_close(chunked(x, step)[real], plain(x, step)[real])
    segments = torch.tensor([0] * 4 + [1] * (T - 4)).expand(B, -1)
    packed = Step(torch.cat([torch.arange(4), torch.arange(T - 4)])[None], segments=segments)
    torch.testing.assert_close(chunked(x, packed), plain(x, packed))


@pytest.mark.parametrize("room", [None, T])
def test_decoding_keeps_a_ring_of_chunks(room: int | None) -> None:
    chunked, plain = pair(chunk=3)
    x = draw()
    for chunks in ([1] * T, [4, 1, 5, 1], [7, 4]):
        state, other = State.of(chunked, B, room), State.of(plain, B, room)
        parts = [state.run(chunked, part) for part in x.split(chunks, 1)]
        torch.testing.assert_close(torch.cat(parts, 1), chunked(x))
        assert state.nbytes == other.nbytes == 2 * x[:, :6].nbytes


def test_how_far_the_mask_of_chunks_reaches() -> None:
    near = NearChunks(3, before=2, after=1)
    assert near.reach == 9 and (Causal() & near).reach == 9
    for bad in ({"size": 0}, {"size": 2, "before": -1}, {"size": 2, "after": -1}):
        with pytest.raises(SpecError):
            NearChunks(**bad)


STEPS = {
    "attention": Spec(Normed, inner=Spec(ChunkAttention, heads=2, chunk=4), norm_in=LayerNorm),
    "mlp": Spec(Normed, inner=Spec(MLP, hidden=12), norm_in=LayerNorm),
}


def reversible(count: int = 1, **options: Any) -> list[Reversible]:
    layers = [Reversible(D, steps=STEPS, **options).double() for _ in range(count)]
    for layer in layers:
        disturb(layer)
    return layers


def test_two_streams_and_back() -> None:
    (layer,), x = reversible(), draw()
    x1, x2 = x.chunk(2, -1)
    attention, mlp = layer.get_submodule("attention"), layer.get_submodule("mlp")
    y1 = x1 + attention(x2)
    y2 = x2 + mlp(y1)
    y = layer(x)
    assert torch.equal(y, torch.cat([y1, y2], -1))
    y1, y2 = y.chunk(2, -1)
    back = y2 - mlp(y1)
    torch.testing.assert_close(torch.cat([y1 - attention(back), back], -1), x)


def test_gradients_are_those_of_recomputed_inputs() -> None:
    """What the paper's backward pass finds, which keeps the last outputs alone."""
    layers, x = reversible(3), draw().requires_grad_()
    y = x
    for layer in layers:
        y = layer(y)
    up = torch.randn_like(y)
    y.backward(up)
    ordinary = [p.grad for layer in layers for p in layer.parameters()]
    found: dict[torch.nn.Parameter, Tensor] = {}
    kept, grad = y.detach(), up
    for layer in reversed(layers):
        with torch.no_grad():
            y1, y2 = kept.chunk(2, -1)
            x2 = y2 - layer.get_submodule("mlp")(y1)
            kept = torch.cat([y1 - layer.get_submodule("attention")(x2), x2], -1)
        start = kept.clone().requires_grad_()
        parameters = list(layer.parameters())
        grad, *rest = torch.autograd.grad(layer(start), [start, *parameters], grad)
        found |= dict(zip(parameters, rest, strict=True))
    torch.testing.assert_close(grad, x.grad, rtol=1e-8, atol=1e-10)
    for ours, p in zip(ordinary, (p for layer in layers for p in layer.parameters()), strict=True):
        torch.testing.assert_close(found[p], ours, rtol=1e-8, atol=1e-10)


def test_a_state_has_a_place_for_each_step() -> None:
    (layer,), x = reversible(), draw()
    state = State.of(layer, B)
    parts = [state.run(layer, part) for part in x.split([3, 1, 5, 2], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), layer(x))
    assert set(state.content) == {"attention", "mlp"} and state.content["mlp"] is None


def test_dropout_falls_on_what_is_added() -> None:
    (layer,), x = reversible(dropout=0.999999), draw()
    assert torch.equal(layer.train()(x), x)
    assert not torch.allclose(layer.eval()(x), x)


@pytest.mark.parametrize("dim", [0, 1, 7])
def test_odd_widths_are_refused(dim: int) -> None:
    with pytest.raises(SpecError, match="two streams"):
        Reversible(dim, steps=STEPS)


def test_other_than_two_steps_are_refused() -> None:
    with pytest.raises(SpecError, match="two steps"):
        Reversible(D, steps={"mlp": STEPS["mlp"]})
    with pytest.raises(SpecError, match="two steps"):
        Reversible(D, steps={**STEPS, "more": STEPS["mlp"]})


def test_one_axis_is_a_table() -> None:
    axial, table = AxialPositions(D, shape=(20,), widths=(D,)), LearnedPositions(D, rows=20)
    table.weight.data = axial.weights[0].data
    x, step = torch.randn(B, T, D), Step(torch.randint(0, 20, (B, T)))
    assert torch.equal(axial(x, step), table(x, step))


def test_the_place_on_the_grid() -> None:
    shape, widths = (2, 3, 4), (2, 1, 5)
    axial = AxialPositions(16, shape=shape, widths=widths)  # twice eight
    y = axial(torch.zeros(1, 24, 16))[0].detach()
    assert torch.equal(y[:, :8], y[:, 8:])
    tables = [weight.detach() for weight in axial.weights]
    for p, (i, j, k) in enumerate(product(range(2), range(3), range(4))):
        wanted = torch.cat([tables[0][i, 0, 0], tables[1][0, j, 0], tables[2][0, 0, k]])
        assert torch.equal(y[p, :8], wanted)
    with pytest.raises(GenerationError, match="grid"):
        axial(torch.zeros(1, 25, 16))


@pytest.mark.parametrize("sizes", [((2, 3), (4,)), ((2,), (5,)), ((2, 0), (4, 4)), ((), ())])
def test_grids_that_do_not_fit(sizes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(SpecError):
        AxialPositions(16, shape=sizes[0], widths=sizes[1])


def test_rows_side_by_side() -> None:
    tokens = torch.randint(0, 9, (B, T))
    repeated, table = RepeatedEmbedding(9, 12, times=3), TokenEmbedding(9, 4)
    table.weight.data = repeated.weight.data
    for part in repeated(tokens).chunk(3, -1):
        assert torch.equal(part, table(tokens))
    with pytest.raises(SpecError, match="rows"):
        RepeatedEmbedding(9, 10, times=3)


def test_a_circle_of_chunks() -> None:
    """Attention with a mask that is written down, of rows that are circles of their own."""
    reaches = [(3, 1, 0, 3), (3, 0, 1, 3), (2, 1, 1, 4), (3, 0, 0, 6), (3, 3, 2, 3), (4, 1, 0, 12)]
    for (size, before, after, multiple), mask in product(reaches, (Full(), Causal())):
        sizes = {"chunk": size, "before": before, "after": after, "multiple": multiple}
        circle = CircleAttention(D, heads=4, bias=True, mask=mask, **sizes).double().eval()
        plain = GQAttention(D, heads=4, bias=True, mask=Full()).double().eval()
        disturb(circle)
        plain.load_state_dict(circle.state_dict())
        x = draw()
        real = torch.rand(B, T, generator=torch.Generator().manual_seed(2)) > 0.3
        real[0, 6:] = False  # a row of fewer chunks
        for known in (None, real):
            step = Step.plain(x)
            if known is not None:
                step = Step((known.cumsum(1) - 1).clamp(min=0), real=known)
            y = circle(x, step)
            for row in range(B):
                alone = x[row : row + 1] if known is None else x[row : row + 1, known[row]]
                count = -(-alone.shape[1] // multiple) * multiple // size
                place = torch.arange(alone.shape[1])
                away = [(place // size + n) % count for n in range(-before, after + 1)]
                seen = torch.stack([n[:, None] == place // size for n in away]).any(0)
                seen &= mask(place[:, None], place)
                wanted = plain(alone, Step(place[None], seen=seen[None]))
                found = y[row : row + 1] if known is None else y[row : row + 1, known[row]]
                torch.testing.assert_close(found, wanted)


def test_what_a_circle_refuses() -> None:
    with pytest.raises(SpecError, match="multiple"):
        CircleAttention(D, heads=4, chunk=3, multiple=4)
    step = Step(torch.arange(T)[None], segments=torch.zeros(B, T, dtype=torch.int64))
    with pytest.raises(SpecError, match="segments"):
        CircleAttention(D, heads=4, chunk=3).double()(draw(), step)


def test_memory_of_a_circle_grows_with_the_length() -> None:
    def size(tokens: int) -> int:
        circle = CircleAttention(D, heads=4, chunk=8, after=1).double().eval()
        return largest(lambda: circle(draw(tokens)))

    sizes = [size(tokens) for tokens in (256, 512, 1024)]
    assert sizes[2] <= 2.1 * sizes[1] <= 4.41 * sizes[0]
    assert sizes[2] < B * 4 * 1024 * 1024 / 16
