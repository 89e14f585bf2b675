"""Translators of 2014: the papers' equations and sizes, generation, and what small ones learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks import (
    GRU,
    LSTM,
    MLP,
    Attending,
    EncoderDecoder,
    FinalStates,
    GenerationError,
    Handed,
    Spec,
    SpecError,
    Step,
    alignment,
    at,
    bahdanau,
    beam_search,
    generate,
    sutskever,
    to_torch,
)
from blocks.ops.rows import Rows
from blocks.testing.subject import disturb

SMALL: dict[str, Any] = {"vocab": 13, "source": 17}
MODELS = {
    "bahdanau": bahdanau(**SMALL, dim=6, hidden=8, readout=5),
    "sutskever": sutskever(**SMALL, dim=8, depth=3),
    "sutskever, read forward": sutskever(**SMALL, dim=8, depth=2, backward=False),
}
SOURCES = [[3, 4, 5, 6, 7], [8, 9], [16, 2, 10]]


def make(name: str) -> Any:
    torch.manual_seed(0)
    model = MODELS[name]().double().eval()
    disturb(model)
    return model


def padded(left: bool = False) -> tuple[Tensor, Tensor]:
    source, mask = torch.zeros(3, 5, dtype=torch.long), torch.zeros(3, 5, dtype=torch.bool)
    for row, tokens in enumerate(SOURCES):
        where = slice(5 - len(tokens), 5) if left else slice(len(tokens))
        source[row, where], mask[row, where] = torch.tensor(tokens), True
    return source, mask


def parameters(spec: Any) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in spec().parameters())


def test_sizes_are_those_of_the_papers() -> None:
    assert parameters(sutskever()) == 384_000_000
    with torch.device("meta"):
        model = sutskever()()
    recurrent = [m for m in model.modules() if isinstance(m, LSTM)]
    assert sum(p.numel() for m in recurrent for p in m.parameters()) == 64_000_000
    # Matrices as in the appendix of Bahdanau et al.: K words, m, n, n' = n and l, and biases.
    k, m, n, half = 30_000, 620, 1000, 500
    gates = 3 * (m * n + n * n + 2 * n)
    writes = gates + 3 * n * 2 * n + (n * n + n)  # with C, C_z, C_r, and W_s
    looks = n * n + 2 * n * n + n + n
    out = 2 * half * (n + m + 2 * n + 1) + k * (half + 1)
    assert parameters(bahdanau()) == 2 * k * m + 2 * gates + writes + looks + out


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("left", [True, False])
def test_a_padded_source_is_read_as_it_is_alone(name: str, left: bool) -> None:
    model, (source, mask) = make(name), padded(left)
    target = torch.randint(13, (3, 4))
    found = model(source, target, mask)
    for row, tokens in enumerate(SOURCES):
        alone = model(torch.tensor([tokens]), target[row : row + 1])
        torch.testing.assert_close(found[row], alone[0], atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_a_state_goes_on_where_it_was(name: str) -> None:
    model, (source, mask) = make(name), padded()
    target = torch.randint(13, (3, 7))
    wanted = model(source, target, mask)
    speaker = model.given(source, mask)
    for chunks in ([7], [3, 1, 1, 2], [1] * 7):
        state = speaker.init_state(3, 7)
        parts = [speaker(part, None, state) for part in target.split(chunks, 1)]
        torch.testing.assert_close(torch.cat(parts, 1), wanted, atol=1e-9, rtol=0)
    state = speaker.init_state(3)
    speaker(target[:, :4], None, state)
    rows, copied = torch.tensor([2, 0, 0]), state.copy()
    found = speaker(target[rows, 4:], None, state.select(rows))
    torch.testing.assert_close(found, wanted[rows, 4:], atol=1e-9, rtol=0)
    torch.testing.assert_close(speaker(target[:, 4:], None, copied), wanted[:, 4:])
    with pytest.raises(GenerationError, match="forget"):
        copied.trim(1)


@pytest.mark.parametrize("name", MODELS)
def test_padding_in_a_target_changes_nothing(name: str) -> None:
    model, (source, mask) = make(name), padded()
    target, real = torch.randint(13, (3, 6)), torch.rand(3, 6) > 0.4
    real[:, 0] = True
    found = model(source, target, mask, real)
    for row in range(3):
        alone = model(torch.tensor([SOURCES[row]]), target[row : row + 1, real[row]])
        torch.testing.assert_close(found[row, real[row]], alone[0], atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_answers_are_the_likeliest_tokens(name: str) -> None:
    model = make(name)
    written = generate(model, SOURCES, start=1, max_new_tokens=6, stop=())
    for row, tokens in enumerate(SOURCES):
        answer = [1]
        for _ in range(6):
            logits = model(torch.tensor([tokens]), torch.tensor([answer]))
            answer.append(int(logits[0, -1].argmax()))
        assert written[row].tolist() == answer
    scores, texts = beam_search(model, SOURCES, start=1, beams=3, max_new_tokens=4, stop=())
    for row, tokens in enumerate(SOURCES):
        logits = model(torch.tensor([tokens]), texts[row : row + 1, :-1]).log_softmax(-1)
        told = logits.gather(-1, texts[row : row + 1, 1:, None]).sum() / 4
        assert float(scores[row]) == pytest.approx(float(told), abs=1e-5)


def test_sutskever_is_two_lstms() -> None:
    model = make("sutskever")
    source, target = torch.randint(17, (2, 5)), torch.randint(13, (2, 4))
    reads = to_torch(model.encoder.layers[0].mixer)
    writes = to_torch(model.decoder.layers[0].mixer.inner)
    _, end = reads(F.embedding(source.flip(1), model.encoder.embedding.weight))
    y, _ = writes(F.embedding(target, model.decoder.embedding.weight), end)
    torch.testing.assert_close(model(source, target), y @ model.head.weight.T)


def cell(x: Tensor, s: Tensor, weights: list[Tensor]) -> Tensor:
    """Equations of appendix A.1.1, where z takes the new; ours keeps the old by it."""
    w, u, b, e = weights
    n = len(s)
    told = w @ x + b + e
    r, z = (told[: 2 * n] + u[: 2 * n] @ s).sigmoid().split(n)
    return (1 - z) * torch.tanh(told[2 * n :] + u[2 * n :] @ (r * s)) + z * s


def test_bahdanau_is_the_appendix_of_the_paper() -> None:
    model = make("bahdanau")
    source, target = torch.randint(17, (1, 5)), torch.randint(13, (1, 4))
    both = list(model.encoder.layers[0].mixer.parameters())
    x = model.encoder.embedding.weight[source[0]]
    zero = x.new_zeros(8)
    ahead, back = [zero], [zero]
    for t in range(5):
        ahead.append(cell(x[t], ahead[-1], both[:4]))
        back.append(cell(x[4 - t], back[-1], both[4:]))
    h = torch.stack([torch.cat(pair) for pair in zip(ahead[1:], back[:0:-1], strict=True)])
    writes, looks = model.decoder.layers[0].mixer, model.decoder.layers[0].mixer.attention
    s, found, rows = torch.tanh(writes.begin(back[-1])), [], []
    readout = model.decoder.layers[0].readout.inner.linear
    for y in model.decoder.embedding.weight[target[0]]:
        hidden = torch.tanh(looks.q.weight @ s + h @ looks.k.weight.T + looks.k.bias)
        e = (hidden @ looks.score.weight[0]).exp()
        rows.append(e / e.sum())
        c = rows[-1] @ h
        t = readout(torch.cat([s, y, c])).view(5, 2).max(1).values
        found.append(model.head.inner.weight @ t + model.head.inner.bias)
        s = cell(torch.cat([y, c]), s, list(writes.inner.parameters()))
    torch.testing.assert_close(model(source, target)[0], torch.stack(found))
    torch.testing.assert_close(alignment(model, source, target)[0], torch.stack(rows))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_finite_differences(name: str) -> None:
    model, (source, mask) = make(name), padded()
    target = torch.randint(13, (3, 4))
    names, given = zip(*model.named_parameters(), strict=True)

    def loss(*values: Tensor) -> Tensor:
        inputs = (source, target, mask)
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), inputs)

    assert torch.autograd.gradcheck(loss, given, fast_mode=True)


def test_rows_of_an_alignment() -> None:
    model, (source, mask) = make("bahdanau"), padded(left=True)
    target = torch.randint(13, (3, 4))
    rows = alignment(model, source, target, mask)
    assert rows.shape == (3, 4, 5)
    torch.testing.assert_close(rows.sum(-1), torch.ones(3, 4, dtype=torch.float64))
    assert bool((rows[~mask[:, None].expand_as(rows)] == 0).all())
    alone = alignment(model, source[1:2, 3:], target[1:2])
    torch.testing.assert_close(rows[1:2, :, 3:], alone)
    with pytest.raises(GenerationError, match="Attending"):
        alignment(make("sutskever"), source, target)


def test_an_lstm_attends_as_well() -> None:
    block = Attending(6, inner=Spec(LSTM, hidden=7)).double()
    x, memory = torch.randn(2, 5, 6).double(), torch.randn(2, 4, 6).double()
    wanted = block(x, Step(torch.arange(5)[None], memory=memory))
    state = block.init_state(2, None, torch.float64, None)
    for part, out in zip(x.split([2, 3], 1), wanted.split([2, 3], 1), strict=True):
        told = memory if state.k is None else None  # it is read once
        found = block(part, Step(torch.arange(part.shape[1])[None], memory=told), state)
        torch.testing.assert_close(found, out)


def test_what_is_refused() -> None:
    x, places = torch.randn(2, 3, 8), torch.arange(3)[None]
    handed = Handed(8, inner=Spec(GRU, depth=2))
    with pytest.raises(GenerationError, match="no other sequence"):
        handed(x, Step(places))
    with pytest.raises(SpecError, match="8 wide is no state of 16"):
        handed(x, Step(places, memory=x))
    with pytest.raises(SpecError, match="MLP remembers nothing"):
        Handed(8, inner=Spec(MLP, hidden=4))
    with pytest.raises(SpecError, match="no layer remembers"):
        FinalStates(9, 8, layers=(Spec(MLP, hidden=4),))(torch.tensor([[1]]))
    for inner in (Spec(GRU, depth=2), Spec(GRU, direction="both", hidden=4), Spec(MLP, hidden=4)):
        with pytest.raises(SpecError, match="one recurrent layer"):
            Attending(8, inner=inner)
    block = Attending(8)
    with pytest.raises(SpecError, match="places, 8"):
        block(x, Step(places, memory=torch.randn(2, 3, 9)))
    with pytest.raises(SpecError, match="packed"):
        block(x, Step(places, memory=x, segments=torch.zeros(2, 3, dtype=torch.long)))


def test_parts_have_the_addresses_of_what_they_are() -> None:
    spec = MODELS["bahdanau"]
    assert at(spec, "head").func.__name__ == "LMHead"
    assert at(spec, "decoder.layers.0.mixer.attention").keywords["hidden"] == 8
    assert at(MODELS["sutskever"], "decoder.layers.0.mixer").func is LSTM


def test_rows_turn_about_their_own_lengths() -> None:
    x = torch.arange(10.0).view(2, 5, 1)
    rows = Rows(lengths=torch.tensor([5, 2]))
    assert rows.turn(x)[..., 0].tolist() == [[4, 3, 2, 1, 0], [6, 5, 7, 8, 9]]
    assert torch.equal(Rows().turn(x), x.flip(1))


def draw(rows: int) -> tuple[Tensor, Tensor]:
    """Sources of five letters, and the same behind the token that begins an answer."""
    source = torch.randint(2, 8, (rows, 5))
    return source, F.pad(source, (1, 0), value=1)


def learn(spec: Any, steps: int, seed: int) -> tuple[EncoderDecoder, Tensor]:
    torch.manual_seed(seed)
    model = spec()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.3, 0.3)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=1e-2), []
    for _ in range(steps):
        source, target = draw(32)
        loss = F.cross_entropy(model(source, target[:, :-1]).mT, target[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.detach())
    return model, torch.stack(losses)


def test_attention_becomes_diagonal_on_copying() -> None:
    model, _ = learn(bahdanau(vocab=8, source=8, dim=12, hidden=16, readout=12), 100, seed=1)
    source, target = draw(40)
    found = alignment(model, source, target[:, :-1]).argmax(-1)  # B T
    assert float((found == torch.arange(5)).double().mean()) > 0.9
    written = generate(model, source, start=1, max_new_tokens=5, stop=())
    assert float((written == target).all(1).double().mean()) > 0.9


@pytest.mark.slow
def test_a_source_read_backward_is_learnt_faster() -> None:
    total = {}
    for backward in (True, False):
        spec = sutskever(vocab=8, source=8, dim=48, depth=1, backward=backward)
        runs = [learn(spec, 200, seed) for seed in (1, 2)]
        total[backward] = sum(float(losses.sum()) for _, losses in runs)
        source, target = draw(40)
        written = generate(runs[0][0], source, start=1, max_new_tokens=5, stop=())
        if backward:
            assert float((written == target).all(1).double().mean()) > 0.7
    assert total[True] < 0.85 * total[False]
