"""LSH attention: full attention where it must be that, decoding, seeds."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import Causal, Full, LSHAttention, Mask, SpecError, State, Step
from blocks.testing.subject import disturb
from tests.blocks.watch import largest

B, T, D, H = 2, 13, 16, 4


def make(**options: Any) -> LSHAttention:
    sizes: dict[str, Any] = {"heads": H, "buckets": 4, "chunk": 3}
    hashed = LSHAttention(D, **(sizes | options)).double().eval()
    disturb(hashed)
    return hashed


def draw(tokens: int = T) -> Tensor:
    return torch.randn(B, tokens, D, dtype=torch.float64)


def full(hashed: LSHAttention, x: Tensor) -> Tensor:
    """Softmax attention over all that the mask lets through, queries being keys of length 1."""
    q, v = (part(x).unflatten(-1, (H, -1)).transpose(1, 2) for part in (hashed.qk, hashed.v))
    place = torch.arange(x.shape[1])
    itself = place[:, None] == place
    scores = q @ torch.nn.functional.normalize(q, dim=-1).transpose(-1, -2)
    scores = scores.masked_fill(~hashed.mask(place[:, None], place), -math.inf)
    alone = (hashed.mask(place[:, None], place) & ~itself).sum(-1) == 0
    scores = scores.masked_fill(itself & ~alone[:, None], -math.inf)
    scores = scores.masked_fill(itself & alone[:, None], 0)
    return hashed.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("mask", [Causal(), Full()])
@pytest.mark.parametrize(
    "options",
    [
        {"chunk": T},
        {"chunk": 2 * T, "hashes": 4, "before": 3},
        {"chunk": 7, "hashes": 1},  # of two chunks each sees both
        {"chunk": 5, "hashes": 1, "before": 1, "after": 1},
        {"chunk": 5, "hashes": 1, "before": 2},
        {"chunk": 7, "hashes": 3, "before": 2, "after": 3},  # all of them, in each round once
    ],
)
def test_what_sees_all_chunks_is_full_attention(mask: Mask, options: dict[str, Any]) -> None:
    hashed, x = make(mask=mask, **options), draw()
    torch.testing.assert_close(hashed(x), full(hashed, x), rtol=1e-5, atol=1e-5)


def test_one_bucket_is_the_order_of_the_text() -> None:
    """Vectors that all point one way are hashed alike: a chunk is a stretch of the text."""
    hashed = make(chunk=3, hashes=1)
    x = torch.randn(1, 1, D, dtype=torch.float64) * torch.rand(1, 12, 1, dtype=torch.float64)
    place = torch.arange(12)
    near = place[:, None] // 3 - place // 3
    allowed = (near >= 0) & (near <= 1) & (place <= place[:, None]) & (place != place[:, None])
    y = hashed(x)
    changed = x.clone()
    for t in range(12):
        others = [s for s in range(12) if not allowed[t, s] and s != t]
        changed = x.clone()
        changed[:, others] *= 0.5  # shorter vectors point the same way
        torch.testing.assert_close(hashed(changed)[:, t], y[:, t])


@pytest.mark.parametrize("room", [None, T])
@pytest.mark.parametrize("options", [{}, {"hashes": 3, "before": 2}, {"multiple": 6}])
def test_a_step_is_the_last_of_one_pass_so_far(options: dict[str, Any], room: int | None) -> None:
    hashed, x = make(**options), draw()
    for chunks in ([1] * T, [5, 1, 4, 1, 1, 1], [2, 7, 4], [T]):
        state, end = State.of(hashed, B, room), 0
        for part in x.split(chunks, 1):
            end += part.shape[1]
            wanted = hashed(x[:, :end])[:, -part.shape[1] :]
            torch.testing.assert_close(state.run(hashed, part), wanted)


@pytest.mark.parametrize("chunks", [[T], [1] * T, [6, 1, 1, 5], [4, 1, 8]])
def test_padding_leaves_the_state_as_it_was(chunks: list[int]) -> None:
    hashed, x = make(hashes=2, multiple=6), draw()
    real = torch.rand(B, T, generator=torch.Generator().manual_seed(3)) > 0.35
    given, state = torch.where(real[..., None], x, 50.0), State.of(hashed, B)
    end = 0
    for part, mask in zip(given.split(chunks, 1), real.split(chunks, 1), strict=True):
        y, end = state.run(hashed, part, mask), end + part.shape[1]
        for row in range(B):
            if not real[row, :end].any():
                continue
            alone = hashed(x[row : row + 1, :end][:, real[row, :end]])
            new = int(mask[row].sum())
            found = y[row : row + 1, mask[row]]
            torch.testing.assert_close(found, alone[:, alone.shape[1] - new :])


def test_a_state_is_copied_selected_and_trimmed() -> None:
    hashed, x = make(hashes=2), draw()
    state = State.of(hashed, B)
    state.run(hashed, x[:, :-2])
    copied, other = state.copy(), state.select(torch.tensor([1, 0, 1]))
    wanted = state.run(hashed, x[:, -2:])
    torch.testing.assert_close(copied.run(hashed, x[:, -2:]), wanted)
    rows = x[torch.tensor([1, 0, 1]), -2:]
    torch.testing.assert_close(other.run(hashed, rows), wanted[torch.tensor([1, 0, 1])])
    state.trim(2)
    torch.testing.assert_close(state.run(hashed, x[:, -2:]), wanted)


def test_nothing_is_random_in_evaluation() -> None:
    x = draw()
    free, zero, one = (make(seed=seed, hashes=2) for seed in (None, 0, 1))
    for other in (zero, one):
        other.load_state_dict(free.state_dict())
    assert torch.equal(free(x), free(x)) and torch.equal(free(x), zero(x))
    assert not torch.allclose(zero(x), one(x))
    for hashed, same in ((free, False), (zero, True)):
        hashed.train()
        assert torch.equal(hashed(x), hashed(x)) is same
    torch.manual_seed(5)
    first = free(x)
    torch.manual_seed(5)
    assert torch.equal(free(x), first)


def test_a_seed_leaves_the_generator_of_the_program_alone() -> None:
    hashed, x = make(seed=3), draw()
    before = torch.random.get_rng_state()
    hashed(x)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_more_rounds_are_nearer_to_full_attention() -> None:
    """The mean over seeds of the distance to attention that sees everything shrinks."""
    x = draw(64)
    model = make(chunk=8, buckets=8)
    exact = full(model, x)
    off = []
    for hashes in (1, 4, 16):
        found = []
        for seed in range(6):
            other = make(chunk=8, buckets=8, hashes=hashes, seed=seed)
            other.load_state_dict(model.state_dict())
            found.append(float((other(x) - exact).detach().abs().mean()))
        off.append(sum(found) / len(found))
    assert off[0] > 1.2 * off[1] > 1.44 * off[2]


def test_memory_grows_with_the_length() -> None:
    def size(tokens: int) -> int:
        hashed = make(chunk=8, hashes=2, buckets=(8, 16), mask=Full())
        return largest(lambda: hashed(draw(tokens)))

    sizes = [size(tokens) for tokens in (256, 512, 1024)]
    assert all(b <= 2.1 * a for a, b in pairwise(sizes))
    assert sizes[-1] < B * H * 1024 * 1024 / 16


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"buckets": 3}, "even"),
        ({"buckets": (2, 5)}, "even"),
        ({"buckets": ()}, "even"),
        ({"multiple": 4}, "multiple"),
        ({"before": -1}, "beside"),
        ({"after": -1}, "beside"),
    ],
)
def test_sizes_that_do_not_fit(options: dict[str, Any], word: str) -> None:
    with pytest.raises(SpecError, match=word):
        make(**options)


def test_packed_documents_are_refused() -> None:
    x = draw()
    step = Step(torch.arange(T)[None], segments=torch.zeros(B, T, dtype=torch.int64))
    with pytest.raises(SpecError, match="segments"):
        make()(x, step)
