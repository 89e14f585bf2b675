"""RNN, LSTM, GRU: torch.nn's numbers, the loop beside the kernel, rows of their own lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from blocks import (
    GRU,
    LSTM,
    RNN,
    CausalLM,
    Chain,
    GatedMLP,
    GenerationError,
    Residual,
    RMSNorm,
    Spec,
    SpecError,
    State,
    Step,
    beam_search,
    from_torch,
    generate,
    to_torch,
)
from blocks.ops.rows import Rows
from blocks.testing import check_block
from blocks.testing.subject import disturb

KINDS = [(RNN, nn.RNN), (LSTM, nn.LSTM), (GRU, nn.GRU)]
OURS = [
    Spec(RNN, act="relu", hidden=6),
    Spec(LSTM, hidden=6),
    Spec(LSTM, peepholes=True, hidden=6),
    Spec(GRU, hidden=6),
    Spec(GRU, reset="before", hidden=6),
]
LENGTHS = torch.tensor([7, 3, 5])


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def zeros(block: Any, x: Tensor) -> tuple[Tensor, ...]:
    start = x.new_zeros(len(x), block.depth * block.ways, block.hidden)
    return (start,) * (2 if isinstance(block, LSTM) else 1)


@pytest.mark.parametrize(("ours", "theirs"), KINDS)
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_s_numbers_and_weights(ours: Any, theirs: Any, both: bool, bias: bool) -> None:
    module = theirs(5, 6, 3, bias=bias, bidirectional=both, batch_first=True)
    block = from_torch(module)
    assert type(block) is ours
    x = torch.randn(3, 7, 5)
    wanted = module(x)[0]
    assert torch.equal(block(x), wanted)
    looped, _ = block.loop(x, Rows(), zeros(block, x))
    torch.testing.assert_close(looped, wanted, atol=1e-6, rtol=0)
    again = to_torch(block)
    assert torch.equal(again(x)[0], wanted)
    assert list(again.state_dict()) == list(module.state_dict()) == list(block.state_dict())
    block.load_state_dict(module.state_dict())
    module.load_state_dict(block.state_dict())
    with torch.no_grad():
        next(block.parameters()).add_(1.0)
    assert torch.equal(module(x)[0], wanted), "weights are copies"


@pytest.mark.parametrize(("ours", "theirs"), KINDS)
def test_a_seed_draws_torch_s_weights(ours: Any, theirs: Any) -> None:
    torch.manual_seed(3)
    block = ours(5, hidden=6, depth=2, direction="both")
    torch.manual_seed(3)
    module = theirs(5, 6, 2, bidirectional=True)
    assert all(torch.equal(p, module.state_dict()[n]) for n, p in block.state_dict().items())


@pytest.mark.parametrize(("ours", "theirs"), KINDS)
def test_ragged_rows_are_torch_s_packed_sequences(ours: Any, theirs: Any) -> None:
    module = theirs(5, 6, 2, bidirectional=True, batch_first=True)
    x = torch.randn(3, 7, 5)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    wanted = pad_packed_sequence(module(packed)[0], batch_first=True)[0]
    real = torch.arange(7) < LENGTHS[:, None]
    found = from_torch(module)(x, Step(torch.arange(7)[None], real=real))
    torch.testing.assert_close(found[real], wanted[real], atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("ragged", [False, True])
def test_the_kernel_and_the_loop_agree(kind: Any, direction: Any, ragged: bool) -> None:
    block = kind(5, hidden=6, depth=2, direction=direction).double()
    disturb(block)
    x, start = draw(4, 7, 5), tuple(draw(4, 2 * block.ways, 6) for _ in zeros(block, draw(4, 1, 5)))
    lengths = torch.tensor([7, 0, 3, 5]) if ragged else None
    rows = Rows(lengths=lengths)
    real = rows.real(7)
    found = []
    for way in (block.fused, block.loop):
        leaf = x.clone().requires_grad_()
        y, end = way(leaf, rows, start)
        kept = y if real is None else y[real]
        parts = (kept.pow(2).sum(), *(part.pow(3).sum() for part in end))
        grads = torch.autograd.grad(sum(parts), (leaf, *block.parameters()))
        found.append((kept, *end, *grads))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)
    if ragged:
        torch.testing.assert_close(found[0][1][1], start[0][1])  # a row without a token


@pytest.mark.parametrize("spec", OURS)
@pytest.mark.parametrize("direction", ["backward", "both"])
def test_backward_starts_at_each_row_s_own_end(spec: Any, direction: Any) -> None:
    block = Spec(spec.func, **{**spec.keywords, "direction": direction, "depth": 2})(5).double()
    x = draw(3, 7, 5)
    real = torch.arange(7) < LENGTHS[:, None]
    found = block(x, Step(torch.arange(7)[None], real=real))
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(found[row, :length], block(x[row : row + 1, :length])[0])
    turned = Spec(spec.func, **{**spec.keywords, "depth": 2})(5).double()
    if direction == "backward":
        turned.load_state_dict(block.state_dict())
        torch.testing.assert_close(block(x), turned(x.flip(1)).flip(1))


@pytest.mark.parametrize("spec", OURS)
@pytest.mark.parametrize("direction", ["forward", "both"])
def test_packed_documents_do_not_meet(spec: Any, direction: Any) -> None:
    block = Spec(spec.func, **{**spec.keywords, "direction": direction})(5).double()
    x, segments = draw(1, 10, 5), torch.tensor([[0] * 4 + [1] * 6])
    packed = block(x, Step(torch.arange(10)[None], segments=segments))
    torch.testing.assert_close(packed, torch.cat([block(x[:, :4]), block(x[:, 4:])], 1))


@pytest.mark.parametrize("spec", OURS)
def test_every_promise_stacked_and_both_ways(spec: Any) -> None:
    options = dict(spec.keywords)
    stacked = Spec(spec.func, **{**options, "depth": 2})(16)
    check_block(stacked, shape=(3, 7, 6), compile=False)
    both = Spec(spec.func, **{**options, "direction": "both"})(16)
    check_block(both, shape=(3, 7, 12), causal=False, compile=False)


def test_peepholes_of_zeros_are_none() -> None:
    block, plain = LSTM(5, hidden=6, peepholes=True).double(), LSTM(5, hidden=6).double()
    plain.load_state_dict({n: v for n, v in block.state_dict().items() if n != "peephole_l0"})
    with torch.no_grad():
        block.peephole_l0.zero_()
    x = draw(1, 4, 5)
    torch.testing.assert_close(block(x), plain(x))


@pytest.mark.parametrize("spec", OURS)
def test_a_language_model_of_them_generates(spec: Any) -> None:
    mixer = Spec(spec.func, **{**spec.keywords, "hidden": 16, "depth": 2})
    steps = {
        "mixer": Spec(Residual, inner=mixer, norm_in=RMSNorm),
        "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=24), norm_in=RMSNorm),
    }
    model = CausalLM(vocab=30, dim=16, layers=(Spec(Chain, steps=steps),) * 2, norm=RMSNorm)
    disturb(model.double())
    prompts = [[1, 2, 3, 4], [5, 6]]
    written = generate(model, prompts, max_new_tokens=5, stop=())
    for row, prompt in enumerate(prompts):
        alone = prompt
        for _ in range(5):
            alone = alone + [int(model(torch.tensor([alone]))[0, -1].argmax())]
        assert written[row, -5:].tolist() == alone[-5:]
    beam_search(model, prompts[0], beams=3, max_new_tokens=4, stop=())


def test_what_is_refused() -> None:
    x = draw(2, 3, 5)
    lstm = LSTM(5, hidden=6).double()
    for other, message in ((GRU(5, hidden=6), "CellState"), (LSTM(5, hidden=4), "not .1, 6.")):
        state = State.of(other.double(), 2)
        with pytest.raises(GenerationError, match=message):
            state.run(lstm, x)
    for state in (State.of(lstm, 3), State.of(lstm, 2, dtype=torch.float32)):
        with pytest.raises(GenerationError):
            lstm(x, None, state.content)
    with pytest.raises(GenerationError, match="reads from the end"):
        State.of(LSTM(4, direction="both"), 2)
    with pytest.raises(GenerationError, match="reads from the end"):
        LSTM(5, hidden=6, direction="backward").double()(x, None, State.of(lstm, 2).content)
    with pytest.raises(SpecError, match="two equal halves"):
        LSTM(5, direction="both")
    for block in (LSTM(4, peepholes=True), GRU(4, reset="before"), RNN(4, direction="backward")):
        with pytest.raises(SpecError, match="nothing that computes"):
            to_torch(block)
    with pytest.raises(SpecError, match="proj_size"):
        from_torch(nn.LSTM(4, 6, proj_size=3))
    with pytest.raises(SpecError, match="no block is Linear"):
        from_torch(nn.Linear(2, 3))  # pyright: ignore[reportArgumentType]  # what is tested


def test_dropout_lies_between_layers() -> None:
    for kind, options in ((RNN, {}), (LSTM, {}), (GRU, {}), (LSTM, {"peepholes": True})):
        one, two = (kind(8, depth=depth, dropout=0.5, **options) for depth in (1, 2))
        x = torch.randn(2, 5, 8)
        assert torch.equal(one(x), one(x))
        assert not torch.equal(two(x), two(x))
        assert torch.equal(two.eval()(x), two(x))
