"""MegaByte: the equations one byte at a time, the reference package, memory, bad parts."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import (
    MLP,
    Chain,
    GenerationError,
    GQAttention,
    JoinedEmbedding,
    LayerNorm,
    LayerStack,
    LearnedPositions,
    LMHead,
    MegaByte,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    SpecError,
    Step,
    TokenShift,
    beam_search,
    byte_tokenizer,
    generate,
    stream,
)
from blocks.testing import check_block
from tests.generation.tiny import uncached

VOCAB, HEADS, WIDTH = 50, 2, 8
# By name: widths, layers, tokens of each row, and whether heads turn; else there are positions.
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]] = {
    "two stages": ((24, 16), (2, 1), (7, 4), False),
    "two stages turned": ((24, 16), (2, 2), (7, 4), True),
    "three stages": ((24, 20, 16), (1, 2, 1), (5, 3, 4), False),
    "three stages turned": ((24, 20, 16), (2, 1, 2), (5, 3, 2), True),
}
BYTES = torch.randint(0, VOCAB, (2, 19), generator=torch.Generator().manual_seed(1))


def layer(dim: int, turned: bool) -> Spec:
    """A layer of the reference: the norm comes after the shift."""
    before = {"shift": TokenShift, "norm": Spec(RMSNorm, eps=1e-12)}
    qk = (Spec(RoPE),) if turned else ()
    mixer = Spec(GQAttention, heads=HEADS, head_dim=WIDTH, qk=qk)
    parts = {"attention": mixer, "mlp": Spec(MLP, hidden=3 * dim)}
    steps = {
        name: Spec(Residual, inner=Spec(Chain, steps={**before, "inner": part}))
        for name, part in parts.items()
    }
    return Spec(Chain, steps=steps)


def make(shape: str, **options: Any) -> MegaByte:
    dims, depths, lengths, turned = SHAPES[shape]
    stages, unit = [], 1
    for s in reversed(range(len(dims))):
        norms = {"norm_in": LayerNorm, "norm_out": LayerNorm}
        joined = Spec(JoinedEmbedding, count=unit, width=dims[-1], **norms)
        parts: dict[str, Any] = {"embedding": joined} if unit > 1 else {}
        parts["stem"] = None if turned else Spec(LearnedPositions, rows=lengths[s] + 1)
        parts["norm"] = Spec(RMSNorm, eps=1e-12)
        stages.insert(0, Spec(LayerStack, layers=(layer(dims[s], turned),) * depths[s], **parts))
        unit *= lengths[s]
    head = Spec(LMHead, bias=True)
    model = MegaByte(vocab=VOCAB, dims=dims, stages=tuple(stages), head=head, **options)
    return scrambled(model).double().eval()


def scrambled(model: Any) -> Any:
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            fan = parameter.shape[-1] if parameter.dim() > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 1.2 / fan**0.5)
    return model


def renamed(theirs: Any) -> dict[str, Tensor]:
    """The reference's tensors by our names."""
    named: dict[str, Tensor] = {}

    def put(name: str, part: Any) -> None:
        kept = {"weight": part.g} if hasattr(part, "g") else dict(part.named_parameters())
        named.update({f"{name}.{key}": value for key, value in kept.items()})

    for s, (stage, table) in enumerate(
        zip(theirs.transformers, reversed(theirs.token_embs), strict=True)
    ):
        for i, (attention, mlp) in enumerate(stage.layers):
            ours = f"stages.{s}.layers.{i}"
            put(f"{ours}.attention.inner.norm", attention.norm)
            k, v = attention.to_kv.weight.chunk(2)
            tensors = {"q": attention.to_q.weight, "k": k, "v": v, "out": attention.to_out.weight}
            named |= {f"{ours}.attention.inner.inner.{n}.weight": t for n, t in tensors.items()}
            put(f"{ours}.mlp.inner.norm", mlp[0])
            put(f"{ours}.mlp.inner.inner.up", mlp[1])
            put(f"{ours}.mlp.inner.inner.down", mlp[4])
        put(f"stages.{s}.norm", stage.norm)
        named[f"starts.{s}"] = theirs.start_tokens[s]
        if theirs.pos_embs is not None:  # the start vector has no position
            rows = theirs.pos_embs[s].weight
            named[f"stages.{s}.stem.weight"] = torch.cat([torch.zeros_like(rows[:1]), rows])
        if s == len(theirs.transformers) - 1:
            put(f"stages.{s}.embedding", table)
        else:
            for place, name in ((0, ""), (2, ".norm_in"), (3, ".project"), (4, ".norm_out")):
                put(f"stages.{s}.embedding{name}", table[place])
            put(f"spread.{s}", theirs.to_next_transformer_projections[s][1])
    put("head", theirs.to_logits)
    return named


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_the_reference_package(shape: str) -> None:
    """MEGABYTE-pytorch, of every length: also those that are no multiple of a patch."""
    package = pytest.importorskip("MEGABYTE_pytorch", reason="MEGABYTE-pytorch is not installed")
    dims, depths, lengths, turned = SHAPES[shape]
    sizes = {"dim": dims, "depth": depths, "max_seq_len": lengths, "dim_head": WIDTH}
    where = {"rel_pos": turned, "pos_emb": not turned}
    theirs = package.MEGABYTE(num_tokens=VOCAB, heads=HEADS, ff_mult=3, **sizes, **where)
    theirs = scrambled(theirs).double().eval()
    ours = make(shape, ahead=False)
    ours.load_state_dict(renamed(theirs))
    for length in (1, 3, 4, 5, 12, 13, 19, 24):
        tokens = torch.randint(0, VOCAB, (2, length), generator=torch.Generator().manual_seed(3))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*CUDA is not available")
            wanted = theirs(tokens)
        found = ours(tokens)
        # Angles are float32 on both sides.
        assert float((found - wanted).abs().max()) <= 1e-6 * float(wanted.std()), length
    ours.starts[1].add_(0.01)
    assert float((ours(tokens) - wanted).abs().max()) > 1e-4 * float(wanted.std())


def told(model: MegaByte, text: list[int]) -> Tensor:
    """Logits of the token after a text by the equations of the paper, unit by unit."""
    context: Tensor | None = None
    for s, unit in enumerate(model.units):
        stage: Any = model.stages[s]
        place = len(text) // unit
        units = torch.tensor(text[: place * unit], dtype=torch.int64).view(1, place, unit)
        x = stage.embedding(units if unit > 1 else units[..., 0])
        x = torch.cat([model.starts[s][None, None], x], 1)
        if stage.stem is not None:
            x = stage.stem(x)
        if context is not None:
            x = x + context[:, : place + 1]
        y = stage.layered(x, Step.plain(x))[:, -1]
        if s < len(model.spread):
            context = model.spread[s](y).view(1, unit // model.units[s + 1], -1)
        text = text[place * unit :]
    return model.head(y)[0]


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_the_paper(shape: str) -> None:
    """Each token from its row's start and the unit's c, computed alone."""
    model = make(shape)
    logits = model(BYTES)
    for t in range(BYTES.shape[1]):
        for row in range(2):
            wanted = told(model, BYTES[row, : t + 1].tolist())
            torch.testing.assert_close(logits[row, t], wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("shape", ["two stages", "three stages turned"])
def test_the_promises_of_a_block(shape: str, ahead: bool) -> None:
    """No byte looks ahead; chunks, padding and selected rows of the state change nothing."""
    tokens = BYTES[:, :13]  # of two patches of six, or three of four, and one more
    check_block(make(shape, ahead=ahead), tokens, shape=(2, 13, VOCAB), compile=False)


@torch.no_grad()
@pytest.mark.parametrize("ahead", [True, False])
def test_every_byte_before_it_is_read(ahead: bool) -> None:
    """In the paper's model; in the package's, rows begin without what came before them."""
    model = make("three stages", ahead=ahead)
    logits = model(BYTES[:1])
    unread = []
    for t in range(18):
        other = BYTES[:1].clone()
        other[0, t] = (other[0, t] + 1) % VOCAB
        moved = (model(other) - logits).abs().amax(-1)[0] > 1e-9
        assert not moved[:t].any() and moved[t]
        unread += [(t, u) for u in range(t, 19) if not moved[u]]
    if ahead:
        assert not unread
    else:  # a row of the middle stage begins without a context, and tells its first unit so
        assert unread and all(u // 12 > t // 12 and u % 12 < 4 for t, u in unread)


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_generation(shape: str, ahead: bool) -> None:
    """What no cache gives; ragged prompts say what each says alone; a seed says the same."""
    model = make(shape, ahead=ahead)
    prompts = [[3, 1, 4, 1, 5, 9, 2], [6, 5], [3, 5, 8, 9]]
    wanted = [uncached(model, prompt, 9)[len(prompt) :] for prompt in prompts]
    assert generate(model, prompts, max_new_tokens=9)[:, 7:].tolist() == wanted
    for prompt, answer in zip(prompts, wanted, strict=True):
        assert list(stream(model, prompt, max_new_tokens=9)) == answer
    draws = [generate(model, prompts, max_new_tokens=9, temperature=1.0, seed=s) for s in (1, 1, 2)]
    assert draws[0].equal(draws[1]) and not draws[0].equal(draws[2])


def test_beams_and_bytes() -> None:
    model = make("two stages", context=24)
    _, ids = beam_search(model, [3, 1, 4], beams=3, max_new_tokens=6)
    assert ids.shape[-1] == 9
    with pytest.raises(GenerationError, match="context of 24"):
        generate(model, [1] * 20, max_new_tokens=5)
    with pytest.raises(GenerationError, match="can't forget"):
        state = model.init_state(1)
        model(BYTES[:1], None, state)
        state.trim(1)
    text = "naïve 🙂"
    tokenizer = byte_tokenizer(pad=None, eos=None, unk=None)
    assert tokenizer.decode(tokenizer.encode(text)) == text and tokenizer.vocab == 256


def test_the_state_holds_patches_not_bytes() -> None:
    """The first stage's keys and values, one a patch and one of the start, and one unit."""
    model = make("two stages")
    state = model.init_state(1, room=24)
    keys = 2 * 2 * (24 // 4 + 1) * HEADS * WIDTH  # of two layers
    shifted = 2 * 2 * 12
    assert state.nbytes == 8 * (keys + shifted + 4 + 24)


def test_stages_that_do_not_fit() -> None:
    parts = {"layers": (Spec(Residual, inner=Spec(MLP, hidden=8)),)}
    plain = Spec(LayerStack, **parts)
    joined = {
        n: Spec(LayerStack, embedding=Spec(JoinedEmbedding, count=n), **parts) for n in (2, 3, 4)
    }
    wrong: list[tuple[str, tuple[Any, ...], tuple[int, ...]]] = [
        ("at least two", (plain,), (12,)),
        ("at least two", (joined[4], plain), (12, 12, 12)),
        ("don't divide", (plain, plain), (12, 12)),
        ("don't divide", (joined[4], joined[3], plain), (12, 12, 12)),
        ("one by one", (joined[4], joined[2]), (12, 12)),
        ("can't share", (joined[4], plain), (10, 10)),
        ("no LayerStack", (Spec(LMHead), plain), (12, 12)),
    ]
    for match, stages, dims in wrong:
        with pytest.raises(SpecError, match=match):
            MegaByte(vocab=256, dims=dims, stages=stages)
