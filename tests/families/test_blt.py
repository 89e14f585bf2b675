"""BLT on longer texts: where patches lie, of what kind they are, hashes, greedy answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import (
    CheckpointError,
    ConfigError,
    EntropyPatches,
    EqualPatches,
    NGramEmbedding,
    Spec,
    generate,
)
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.families.cases.blt import BASE, CASE, DEEP, LOCAL, SMALL, WRITER
from tests.families.reference import TOLERANCE, Variant, build

PRIMES = (1000000007, 5915587277, 1500450271, 3267000013, 5754853343, 4093082899)
PRIMES += (9576890767, 3628273133, 2860486313, 5463458053, 3367900313)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: Any) -> tuple[Any, Any]:
    """The reference, and ours of its files."""
    theirs, folder = build(CASE, CASE.variants["plain"]), tmp_path_factory.mktemp("blt")
    theirs.save_pretrained(folder)
    return theirs, blocks.from_pretrained(folder)


def draw(length: int, rows: int = 2) -> Tensor:
    return torch.randint(0, 97, (rows, length), generator=torch.Generator().manual_seed(6))


def apart(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.std())


def lengths_of(ends: Tensor) -> Tensor:
    """How long each patch is [B N], one more token counted in."""
    begins = torch.cat([torch.ones_like(ends[:, :1]), ends], 1)
    rows = [row.nonzero().flatten().tolist() for row in begins]
    ends = [[*row[1:], begins.shape[1]] for row in rows]
    pairs = [list(zip(row, end, strict=True)) for row, end in zip(rows, ends, strict=True)]
    most = max(map(len, pairs))
    return torch.tensor([[b - a for a, b in row] + [0] * (most - len(row)) for row in pairs])


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 2, 3, 9, 64, 150])
def test_any_length(pair: tuple[Any, Any], length: int) -> None:
    theirs, ours = pair
    tokens = draw(length)
    assert apart(ours(tokens), theirs(tokens, use_cache=False).logits) <= TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("length", [1, 2, 9, 40])
def test_equal_patches(pair: tuple[Any, Any], size: int, length: int) -> None:
    """The reference is told how long each patch is."""
    theirs, ours = pair
    tokens, patches = draw(length), EqualPatches(size=size)
    told = lengths_of(patches(tokens))
    assert told[0, 0] == 1 and told[0, 1:-1].eq(size).all()
    wanted = theirs(tokens, patch_lengths=told, use_cache=False).logits
    cut = blocks.replace(ours.spec, patches=Spec(EqualPatches, size=size))()
    cut.load_state_dict(ours.state_dict(), strict=False)
    assert apart(cut(tokens), wanted) <= TOLERANCE


@torch.no_grad()
def test_patches_end_where_the_next_token_is_hard_to_guess(pair: tuple[Any, Any]) -> None:
    theirs, ours = pair
    tokens = draw(150)
    found = ours.patches(tokens)
    entropies, lengths, _ = theirs.model.patcher(tokens, patch_size=4, threshold=3.85)
    assert found[:, 0].all() and found[:, 1:].equal(entropies[:, 1:] > 3.85)
    assert 0.2 < found.float().mean() < 0.8
    for row, ends in zip(lengths, found, strict=True):
        starts = row.cumsum(0)[:-1]  # of all but the first
        assert starts[starts < 150].unique().equal(ends[:149].nonzero().flatten() + 1)


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_patches_are_bounded(tmp_path: Any, size: int) -> None:
    """The reference forgets that bound for the patch that would begin after the last token."""
    theirs = build(CASE, Variant({"max_patch_length": size}))
    theirs.save_pretrained(tmp_path)
    ours, tokens = blocks.from_pretrained(tmp_path), draw(60, 1)
    assert ours.spec.keywords["patches"].keywords["size"] == size
    assert lengths_of(ours.patches(tokens))[:, :-1].max() == size
    logits, wanted = ours(tokens), theirs(tokens, use_cache=False).logits
    assert apart(logits[:, :-1], wanted[:, :-1]) <= TOLERANCE
    longer = ours(torch.cat([tokens, tokens[:, :1]], 1))
    assert apart(logits, longer[:, :-1]) <= TOLERANCE  # as it is where more follows


@torch.no_grad()
@pytest.mark.parametrize("size", [None, 2, 5])
def test_one_token_at_a_time(pair: tuple[Any, Any], size: int | None) -> None:
    """Patches of many lengths end at other tokens in each row, of which some are padding."""
    _, ours = pair
    ours = blocks.rewrite(ours.spec, EntropyPatches, lambda p: blocks.replace(p, size=size))()
    ours.load_state_dict(pair[1].state_dict())
    tokens, mask = draw(60, 3), torch.ones(3, 60, dtype=torch.bool)
    mask[1, ::3], mask[2, 20:45] = False, False
    whole = ours(tokens, mask)
    for chunks in ([1] * 60, [7, 1, 1, 30, 1, 20]):
        state = ours.init_state(3)
        cut = zip(tokens.split(chunks, 1), mask.split(chunks, 1), strict=True)
        parts = torch.cat([ours(part, real, state) for part, real in cut], 1)
        assert apart(parts[mask], whole[mask]) <= TOLERANCE
        kept = state.content["open"]
        assert kept.x.shape[1] == kept.held.max() < 25  # the tokens of one patch alone


@torch.no_grad()
def test_greedy_answers(pair: tuple[Any, Any]) -> None:
    theirs, ours = pair
    for row in draw(20):
        tokens = row[None]
        found = generate(ours, row.tolist(), max_new_tokens=10, stop=())
        for _ in range(10):
            logits = theirs(tokens, use_cache=False).logits
            tokens = torch.cat([tokens, logits[:, -1:].argmax(-1)], 1)
        assert found.tolist() == tokens.tolist()


def test_hashes_overflow_as_64_bits_do() -> None:
    """Against whole numbers of any size, and the sign that 64 bits would give them."""
    embedding = NGramEmbedding(260, 4, sizes=(1, 3, 8, 20), hashes=11, buckets=997)
    tokens = torch.randint(0, 260, (1, 50), generator=torch.Generator().manual_seed(2))
    padded = [0] * 20 + tokens[0].tolist()
    negative = 0
    table = embedding.weight[tokens[0]].detach().clone()
    for f, prime in enumerate(PRIMES):
        for i, size in enumerate(embedding.sizes):
            for t in range(50):
                gram = padded[t + 21 - size : t + 21]
                total = sum(token * prime**place for place, token in enumerate(gram)) % 2**64
                total -= 2**64 if total >= 2**63 else 0
                negative += total < 0
                table[t] += embedding.grams[(f * 4 + i) * 997 + total % 997].detach()
    assert negative > 100
    torch.testing.assert_close(embedding(tokens)[0].detach(), table)


def test_the_first_files(pair: tuple[Any, Any]) -> None:
    """Their fields have other names, and some that nobody reads."""
    first = {name: dict(part) for name, part in BASE.items() if name.endswith("_config")}
    for part in first.values():
        part |= {"norm_eps": part.pop("rms_norm_eps"), "dropout": 0.0}
        part |= {"rope_theta": 500_000.0, "rope_scaling": {"rope_type": "default"}}
        part |= {"_attn_implementation": "sdpa", "num_key_value_heads": None}
    first["patcher_config"] |= {"attn_impl": "sdpa", "attn_bias_type": "local_block_causal"}
    first["patcher_config"] |= {"rope_theta": 10_000.0}
    first["encoder_config"]["pm_size"] = 0
    data = {name: value for name, value in BASE.items() if name not in first} | first
    data |= {"model_type": "blt", "realtime_patching": True, "patching_threshold_add": 0.0}
    data |= {"patching_device": "cuda", "monotonicity": False, "pm_size": 0, "patch_size": 4}
    assert outline_of(Config(data)).spec == pair[1].spec


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "a mode without a model": ("patching_mode", {"patching_mode": "space"}),
    "no size of patches": ("patch_size", {"patch_size": None}),
    "attention that is lost": (
        "encoder_config.cross_attn_all_layers",
        {"encoder_config": {**LOCAL, "cross_attn_all_layers": True}},
    ),
    "other places": ("encoder_config.cross_attn_k", {"cross_attn_k": 3}),
    "another vocabulary": (
        "patcher_config.vocab_size",
        {"patcher_config": {**SMALL, "vocab_size": 9}},
    ),
    "dropout": ("decoder_config.dropout", {"decoder_config": {**WRITER, "dropout": 0.1}}),
    "stretched angles": (
        "global_config.rope_parameters",
        {"global_config": {**DEEP, "rope_parameters": {"rope_type": "linear", "factor": 2.0}}},
    ),
    "an unknown field": ("decoder_config.windw", {"decoder_config": {**WRITER, "windw": 3}}),
    "a model of another kind": (
        "encoder_config.model_type",
        {"encoder_config": {**LOCAL, "model_type": "blt_patcher"}},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_named(name: str) -> None:
    field, changes = WRONG[name]
    data = {**BASE, "model_type": "blt", **changes}
    with pytest.raises(ConfigError) as caught:
        outline_of(Config(data))
    assert caught.value.field == field


def test_longer_equal_patches_are_not_exported(pair: tuple[Any, Any], tmp_path: Any) -> None:
    spec = blocks.replace(pair[1].spec, patches=Spec(EqualPatches, size=4))
    model = spec()
    model.provenance = pair[1].provenance
    with pytest.raises(CheckpointError, match="size"):
        blocks.export(model, tmp_path)
    blocks.save_pretrained(model, tmp_path / "own")
    again, tokens = blocks.from_pretrained(tmp_path / "own"), draw(30)
    with torch.no_grad():
        assert again(tokens).equal(model(tokens))
