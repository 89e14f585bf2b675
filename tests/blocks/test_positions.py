"""Positions that are added: to the activations (tables, waves) or to the scores (ALiBi)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config
from transformers.models.bart.modeling_bart import BartLearnedPositionalEmbedding
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.gpt2.modeling_gpt2 import GPT2Model
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor
from transformers.models.whisper.modeling_whisper import sinusoids

from blocks import Spec
from blocks.errors import GenerationError, SpecError
from blocks.positions.alibi import ALiBi
from blocks.positions.learned import LearnedPositions
from blocks.positions.sinusoidal import SinusoidalPositions
from blocks.step import Step
from tests.twins.positions import waves as wave


def causal_softmax(bias: Tensor) -> Tensor:
    """What a bias does: models that differ by one number a query are the same."""
    hidden = torch.ones(bias.shape[-2:], dtype=torch.bool).triu(1)
    return bias.masked_fill(hidden, -math.inf).softmax(-1)


@pytest.mark.parametrize("heads", [1, 2, 4, 5, 8, 12, 14, 32, 112])
def test_alibi_is_blooms(heads: int) -> None:
    positions = torch.arange(9)[None]
    theirs = build_alibi_tensor(torch.ones(1, 9), heads, torch.float32)[None]  # 1 H 1 S
    ours = ALiBi(heads)(positions, positions)
    wanted = causal_softmax(theirs.expand(1, heads, 9, 9))
    torch.testing.assert_close(causal_softmax(ours), wanted)


@pytest.mark.parametrize("heads", [1, 2, 4, 5, 8, 12, 14, 32, 112])
@pytest.mark.parametrize("max_bias", [8, 4, 16])
def test_alibi_is_mpts(heads: int, max_bias: int) -> None:
    theirs = build_mpt_alibi_tensor(heads, 9, max_bias)  # H 1 S
    last, keys = torch.tensor([[8]]), torch.arange(9)[None]
    ours = ALiBi(heads, max_bias=float(max_bias))(last, keys)
    torch.testing.assert_close(ours[0], theirs)


def test_alibi_depends_on_the_distance_alone() -> None:
    alibi = ALiBi(3)
    q, k = torch.tensor([[3, 9], [4, 5]]), torch.tensor([[0, 1, 7], [2, 9, 3]])
    bias = alibi(q, k)
    assert bias.shape == (2, 3, 2, 3)
    torch.testing.assert_close(bias, alibi(q + 100, k + 100), rtol=0, atol=0)
    torch.testing.assert_close(bias, alibi(k, q).transpose(-1, -2), rtol=0, atol=0)
    torch.testing.assert_close(alibi(q[:1], k), torch.stack([bias[0], alibi(q[:1], k[1:])[0]]))
    assert bias.lt(0).logical_or(q[:, None, :, None] == k[:, None, None, :]).all()


def test_alibi_scale_and_errors() -> None:
    p = torch.arange(4)[None]
    torch.testing.assert_close(ALiBi(3, scale=0.25)(p, p), ALiBi(3)(p, p) * 0.25)
    for options in ({"max_bias": 0.0}, {"scale": -1.0}):
        with pytest.raises(SpecError, match="above zero"):
            ALiBi(4, **options)
    with pytest.raises(SpecError, match="heads"):
        ALiBi(0)


def test_learned_is_barts_with_offset_2() -> None:
    theirs = BartLearnedPositionalEmbedding(7, 8)
    ours = LearnedPositions(8, rows=9, offset=2)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(x), x + theirs(x[..., 0]), rtol=0, atol=0)


def test_learned_is_gpt2s() -> None:
    config = GPT2Config(n_embd=8, n_head=2, n_layer=0, n_positions=9, vocab_size=5)
    theirs = GPT2Model(config).eval()
    ours = LearnedPositions(8, rows=9)
    ours.load_state_dict(theirs.wpe.state_dict())
    tokens, places = torch.tensor([[1, 2, 4]]), torch.tensor([[3, 0, 8]])
    wanted = theirs(tokens, position_ids=places).last_hidden_state
    found = theirs.ln_f(ours(theirs.wte(tokens), Step(places)))
    torch.testing.assert_close(found, wanted)


def test_learned_reads_the_rows_of_the_step() -> None:
    block = LearnedPositions(4, rows=6, offset=1)
    x, places = torch.randn(2, 3, 4), torch.tensor([[0, 0, 1], [2, 3, 4]])
    torch.testing.assert_close(block(x, Step(places)), x + block.weight[places + 1])
    torch.testing.assert_close(block(x), block(x, Step.plain(x)))


def test_learned_drops_in_training_only() -> None:
    block, x = LearnedPositions(64, rows=8, dropout=0.5), torch.ones(1, 8, 64)
    assert 0.3 < block(x).eq(0).float().mean() < 0.7
    assert block.eval()(x).ne(0).all()


def test_learned_refuses_what_has_no_row() -> None:
    block = LearnedPositions(4, rows=6, offset=2)
    assert block(torch.randn(1, 4, 4)).shape == (1, 4, 4)
    with pytest.raises(GenerationError, match="position 4 is beyond .* 0 … 3.*at most 4 tokens"):
        block(torch.randn(1, 5, 4))
    with pytest.raises(SpecError, match="offset 6"):
        LearnedPositions(4, rows=6, offset=6)
    with pytest.raises(SpecError, match="offset -1"):
        LearnedPositions(4, rows=6, offset=-1)
    with pytest.raises(SpecError, match=r"\[batch, tokens, 4\]"):
        block(torch.randn(1, 3, 5))
    with pytest.raises(SpecError, match="dropout"):
        LearnedPositions(4, rows=6, dropout=1.0)


def test_learned_on_meta() -> None:
    block = LearnedPositions(4, rows=2).to("meta")
    assert block(torch.empty(1, 5, 4, device="meta")).shape == (1, 5, 4)


def waves(options: dict[str, Any], dim: int, tokens: int, dtype: torch.dtype) -> Tensor:
    return SinusoidalPositions(dim, **options)(torch.zeros(1, tokens, dim, dtype=dtype))[0]


@pytest.mark.parametrize("layout", ["interleaved", "halves"])
@pytest.mark.parametrize("endpoint", [False, True])
@pytest.mark.parametrize(("offset", "scale", "theta"), [(0, 1.0, 1e4), (2, 0.5, 100.0)])
def test_waves_stay_exact_far_away(
    layout: str, endpoint: bool, offset: int, scale: float, theta: float
) -> None:
    dim, tokens = 10, 600
    how: dict[str, Any] = {"layout": layout, "theta": theta, "endpoint": endpoint}
    wanted = scale * torch.stack([wave(p + offset, dim, **how) for p in range(tokens)])
    options = how | {"offset": offset, "scale": scale}
    torch.testing.assert_close(waves(options, dim, tokens, torch.float64), wanted)
    narrow = waves(options, dim, tokens, torch.float32)
    torch.testing.assert_close(narrow, wanted.float(), rtol=0, atol=1e-7)


def test_waves_are_marians() -> None:
    theirs = MarianSinusoidalPositionalEmbedding(512, 16)
    wanted = theirs.create_weight()
    ours = waves({"layout": "halves"}, 16, 512, torch.float32)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-6)


def test_waves_are_whispers() -> None:
    ours = waves({"layout": "halves", "endpoint": True}, 16, 512, torch.float32)
    torch.testing.assert_close(ours, sinusoids(512, 16), rtol=0, atol=1e-4)


def test_waves_are_added_at_the_steps_positions_and_made_once() -> None:
    block = SinusoidalPositions(6)
    x, places = torch.randn(2, 3, 6), torch.tensor([[0, 0, 1], [7, 8, 9]])
    step, table = Step(places), waves({}, 6, 10, torch.float32)
    torch.testing.assert_close(block(x, step), x + table[places])
    torch.testing.assert_close(SinusoidalPositions(6)(x, step), x + table[places])
    assert len(step._made) == 1
    other = SinusoidalPositions(6, offset=1)(x, step)
    torch.testing.assert_close(other, x + waves({"offset": 1}, 6, 10, torch.float32)[places])
    assert not list(block.state_dict())


WAVES = {"layout": "halves", "theta": 9.0, "endpoint": True, "offset": 3, "scale": 2.0}


@pytest.mark.parametrize("change", [{name: value} for name, value in WAVES.items()], ids=str)
def test_every_option_of_the_waves_matters(change: dict[str, Any]) -> None:
    step, x = Step(torch.arange(5)[None]), torch.randn(1, 5, 6)
    plain = Spec(SinusoidalPositions)(6)(x, step)
    assert not torch.allclose(Spec(SinusoidalPositions, **change)(6)(x, step), plain, atol=1e-3)


def test_waves_refuse_odd_widths() -> None:
    with pytest.raises(SpecError, match="5 channels"):
        SinusoidalPositions(5)
    with pytest.raises(SpecError, match="2 channels"):
        SinusoidalPositions(2, endpoint=True)
    with pytest.raises(SpecError, match=r"\[batch, tokens, 4\]"):
        SinusoidalPositions(4)(torch.randn(3, 4))
    with pytest.raises(SpecError, match="theta"):
        SinusoidalPositions(4, theta=0.0)


@pytest.mark.parametrize("part", [LearnedPositions(4, rows=4).double(), SinusoidalPositions(4)])
def test_gradients(part: torch.nn.Module) -> None:
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(part, (x,))
