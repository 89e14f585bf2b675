"""Relative attention: memory, padding, the Conformers."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import (
    Causal,
    Full,
    GQAttention,
    LayerNorm,
    Mask,
    RelativeAttention,
    SpecError,
    State,
    Step,
    Window,
    addresses,
)
from blocks.testing.subject import disturb
from tests.twins.facts import Facts
from tests.twins.harness import told
from tests.twins.looking import relative

B, T, D, H, M = 2, 9, 12, 3, 5


def make(**options: Any) -> RelativeAttention:
    torch.manual_seed(0)
    attention = RelativeAttention(D, **({"heads": H} | options)).double().eval()
    disturb(attention)
    return attention


def draw(tokens: int = T) -> Tensor:
    return torch.randn(B, tokens, D, dtype=torch.float64)


def naive(attention: RelativeAttention, x: Tensor, past: Tensor) -> Tensor:
    """What the twin says of each row, with the tokens before it [B M D]."""
    p = {name: tensor.detach() for name, tensor in addresses(attention).items()}
    options: dict[str, Any] = {"heads": H, "head_dim": None, "bias": False, "layout": "halves"}
    options |= {"memory": M, "filled": False, "relation": None, "clamp": attention.clamp}
    options["mask"] = told(attention.mask)
    options["norm_in"] = told(LayerNorm) if attention.norm_in else None
    places = range(past.shape[1], past.shape[1] + x.shape[1])
    rows = zip(x, past, strict=True)
    return torch.stack([relative(p, row, facts=Facts(places, m), **options) for row, m in rows])


@pytest.mark.parametrize("mask", [Causal(), Full(), Window(4), Window(M)])
@pytest.mark.parametrize("norm", [None, LayerNorm])
def test_zeros_before_the_first_token_are_seen(mask: Mask, norm: Any) -> None:
    attention, x = make(mask=mask, memory=M, filled=True, norm_in=norm), draw()
    zeros = torch.zeros(B, M, D, dtype=x.dtype)
    torch.testing.assert_close(attention(x), naive(attention, x, zeros))


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("mask", [Causal(), Full(), Window(3)])
@pytest.mark.parametrize("clamp", [None, 4])
def test_segments_see_the_memory_of_earlier_ones(
    filled: bool, mask: Mask, clamp: int | None
) -> None:
    attention = make(mask=mask, memory=M, filled=filled, clamp=clamp, norm_in=LayerNorm)
    x, state = draw(14), State.of(attention, B)
    past = torch.zeros(B, M if filled else 0, D, dtype=x.dtype)
    for part in x.split([4, 1, 7, 2], 1):
        torch.testing.assert_close(state.run(attention, part), naive(attention, part, past))
        past = torch.cat([past, part], 1)[:, -M:]


def test_a_memory_that_covers_the_context_is_the_long_context() -> None:
    x = draw(14)
    for options in ({"memory": 14}, {"memory": None}, {"memory": 6, "mask": Window(6)}):
        attention = make(**options)
        state = State.of(attention, B)
        parts = [state.run(attention, part) for part in x.split([4, 1, 7, 2], 1)]
        torch.testing.assert_close(torch.cat(parts, 1), attention(x))
    short = make(memory=2)
    state = State.of(short, B)
    parts = [state.run(short, part) for part in x.split(7, 1)]
    assert (torch.cat(parts, 1) - short(x)).abs().max() > 1e-3


def test_no_gradient_passes_the_memory_but_the_weights_get_theirs() -> None:
    attention, x, y = make(memory=M), draw().requires_grad_(), draw().requires_grad_()
    state = State.of(attention, B)
    state.run(attention, x)
    state.run(attention, y).sum().backward()
    assert x.grad is None and y.grad is not None
    before = attention.k.weight.grad
    twin, state = make(memory=M), None
    twin(y.detach()).sum().backward()
    assert before is not None and not torch.equal(before, twin.k.weight.grad)  # type: ignore[arg-type]  # backward has run


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("mask", [Causal(), Full(), Window(3)])
def test_padding_changes_nothing_and_is_not_remembered(filled: bool, mask: Mask) -> None:
    attention, x = make(mask=mask, memory=M, filled=filled), draw(13)
    real = torch.rand(B, 13, generator=torch.Generator().manual_seed(3)) > 0.3
    chunks, state = [5, 1, 7], State.of(attention, B)
    alone = [State.of(attention, 1) for _ in range(B)]
    for part, kept in zip(x.split(chunks, 1), real.split(chunks, 1), strict=True):
        y = state.run(attention, torch.where(kept[..., None], part, 99.0), kept)
        for row in range(B):
            if kept[row].any():
                wanted = alone[row].run(attention, part[row : row + 1, kept[row]])
                torch.testing.assert_close(y[row : row + 1, kept[row]], wanted)


def test_the_past_is_bounded_copied_and_chosen() -> None:
    attention, x = make(memory=M, mask=Window(M)), draw(14)
    state = State.of(attention, B)
    state.run(attention, x[:, :9])
    assert state.nbytes == B * M * D * 8
    chosen = state.copy().select(torch.tensor([1]))
    state.run(attention, x[:, 9:].flip(0))
    torch.testing.assert_close(chosen.run(attention, x[1:, 9:]), attention(x)[1:, 9:])


def test_what_is_refused() -> None:
    step = Step(torch.arange(T)[None], segments=torch.zeros(B, T, dtype=torch.int64))
    with pytest.raises(SpecError, match="documents"):
        make(memory=M, filled=True)(draw(), step)
    with pytest.raises(SpecError, match=r"RelativeAttention\.memory"):
        make(filled=True)
    with pytest.raises(SpecError, match=r"13 is odd"):
        RelativeAttention(13, heads=1)


def test_packed_documents_are_read_alone() -> None:
    attention, x = make(), draw()
    parts = torch.tensor([[0] * 4 + [1] * 5] * B)
    places = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4]])
    wanted = torch.cat([attention(x[:, :4]), attention(x[:, 4:])], 1)
    torch.testing.assert_close(attention(x, Step(places, segments=parts)), wanted)


@pytest.mark.parametrize("kind", [RelativeAttention, GQAttention])
@pytest.mark.parametrize("earlier", [0, 4])
def test_a_step_says_who_sees_whom(kind: Any, earlier: int) -> None:
    """Of the step's own tokens; what a state remembers is seen by all."""
    attention, x = kind(D, heads=H, mask=Full()).double(), draw()
    disturb(attention)
    seen = torch.rand(B, T, T, generator=torch.Generator().manual_seed(1)) > 0.5
    seen = seen | torch.eye(T, dtype=torch.bool)
    past = draw(earlier) if earlier else None

    def run(x: Tensor, past: Tensor | None) -> Tensor:
        state = State.of(attention, B)
        if past is not None:
            state.run(attention, past)
        step = state.begin(B, T)
        step.seen = seen
        return attention(x, step, state.content)

    found = run(x, past)
    for key in range(T):
        other = x.index_copy(1, torch.tensor([key]), draw(1))
        moved = (run(other, past) - found).abs().amax(-1) > 1e-9
        assert torch.equal(moved, seen[:, :, key])
    if past is not None:
        assert bool(((run(x, past + 1) - found).abs().amax(-1) > 1e-9).all())


NAMES = ("q", "k", "v", "position", "content_bias", "position_bias", "out")


@torch.no_grad()
@pytest.mark.parametrize(
    ("room", "theirs", "waves", "names"),
    [
        (
            "wav2vec2_conformer",
            "Wav2Vec2ConformerSelfAttention",
            "Wav2Vec2ConformerRelPositionalEmbedding",
            "linear_q linear_k linear_v linear_pos pos_bias_u pos_bias_v linear_out",
        ),
        (
            "parakeet",
            "ParakeetEncoderAttention",
            "ParakeetEncoderRelPositionalEncoding",
            "q_proj k_proj v_proj relative_k_proj bias_u bias_v o_proj",
        ),
    ],
)
def test_the_conformers(room: str, theirs: str, waves: str, names: str) -> None:
    module = importlib.import_module(f"transformers.models.{room}.modeling_{room}")
    kinds = {"wav2vec2_conformer": "Wav2Vec2ConformerConfig", "parakeet": "ParakeetEncoderConfig"}
    config = getattr(module, kinds[room])(hidden_size=D, num_attention_heads=H)
    config._attn_implementation = "eager"
    config.position_embeddings_type = "relative"
    kind = getattr(module, theirs)
    reference = (kind(config, 0) if room == "parakeet" else kind(config)).eval()
    disturb(reference)
    ours = RelativeAttention(D, heads=H, bias=True, layout="interleaved", mask=Full()).eval()
    table = dict(zip(names.split(), NAMES, strict=True))
    weights = {}
    for name, tensor in reference.state_dict().items():
        head, _, tail = name.partition(".")
        weights[table[head] + (f".{tail}" if tail else "")] = tensor
    ours.load_state_dict(weights)
    x = draw().float()
    given = getattr(module, waves)(config)(x)
    if room == "parakeet":
        wanted = reference(x, position_embeddings=given)[0]
    else:
        wanted = reference(x, relative_position_embeddings=given)[0]
    assert float((ours(x) - wanted).abs().max()) < 1e-5 * float(wanted.std())
