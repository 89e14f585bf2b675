"""Attentions of other kinds: the patterns that they truly mix by, and the paths that are left."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import blocks
from blocks import BlocksError, CausalLM, GQAttention, Residual, RMSNorm, Spec, Step
from blocks.attention.mask import Causal, Full
from blocks.attention.near import NearChunks

T, PAD = 23, 4


def redrawn(block: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in block.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.4)
    return block.eval()


def real() -> Tensor:
    """One row begins with padding, another has it inside."""
    mask = torch.ones(2, T, dtype=torch.bool)
    mask[0, :PAD], mask[1, 5:7] = False, False
    return mask


def step(padded: bool, **more: Any) -> Step:
    if not padded:
        return Step(torch.arange(T)[None], **more)
    return Step((real().cumsum(1) - 1).clamp(min=0), real=real(), **more)


def seen(block: nn.Module, x: Tensor, now: Step, *names: str) -> dict[str, Tensor]:
    with torch.no_grad(), blocks.capture(block, *names) as got:
        block(x, now)
    return got


KINDS: dict[str, Spec[Any]] = {
    "chunks": Spec(blocks.ChunkAttention, heads=2, chunk=4),
    "a circle": Spec(blocks.CircleAttention, heads=2, chunk=4),
    "hashed": Spec(blocks.LSHAttention, heads=2, buckets=4, chunk=4, hashes=2),
    "one chunk": Spec(blocks.LSHAttention, heads=2, buckets=4, chunk=64),
    "turned": Spec(blocks.TurnedAttention, heads=2),
    "relative": Spec(blocks.RelativeAttention, heads=2, mask=Full()),
    "latent": Spec(blocks.LatentAttention, heads=2, kv_rank=6, nope_dim=4, rope_dim=4, value_dim=5),
    "windows": Spec(blocks.LongformerAttention, heads=2, radius=3),
}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_heads_are_the_pattern_of_values(kind: str, padded: bool) -> None:
    block, x = redrawn(KINDS[kind](16)), torch.randn(2, T, 16)
    got = seen(block, x, step(padded), "v", "pattern", "heads")
    kept = real() if padded else torch.ones(2, T, dtype=torch.bool)
    pattern, heads = got["pattern"], got["heads"]
    assert pattern.shape == (2, 2, T, T)
    rows = kept[:, None, :].expand(2, 2, T)
    # Where a hashed token sees itself alone, float32 rounds its share.
    within = 5e-3 if kind == "hashed" else 1e-5
    torch.testing.assert_close(
        pattern.sum(-1)[rows], torch.ones(int(rows.sum())), atol=within, rtol=0
    )
    torch.testing.assert_close((pattern @ got["v"])[rows], heads[rows], atol=1e-5, rtol=1e-4)
    unreal = (~kept)[:, None, None, :] & kept[:, None, :, None]
    assert not pattern[unreal.expand_as(pattern)].any()  # nobody looks at padding


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"windows"}))
def test_a_pattern_that_is_patched_acts(kind: str) -> None:
    block, x = redrawn(KINDS[kind](16)), torch.randn(2, T, 16)
    got = seen(block, x, step(False), "v", "pattern", "out")
    with torch.no_grad(), blocks.patch(block, {"pattern": torch.eye(T)}):
        itself = seen(block, x, step(False), "heads", "pattern")
    torch.testing.assert_close(itself["heads"], got["v"])
    with torch.no_grad(), blocks.patch(block, {"pattern": got["pattern"]}):
        assert torch.equal(block(x, step(False)), got["out"])


def test_chunks_have_the_pattern_of_the_plain_attention() -> None:
    block: Any = redrawn(KINDS["chunks"](16))
    plain: Any = GQAttention(16, heads=2, mask=Causal() & NearChunks(4))
    plain.load_state_dict(block.state_dict())
    x = torch.randn(2, T, 16)
    got, same = (seen(one, x, step(False), "q", "k", "v", "pattern") for one in (block, plain))
    for name in got:
        torch.testing.assert_close(got[name], same[name])


@pytest.mark.parametrize("padded", [False, True])
def test_global_tokens_see_all_and_are_seen(padded: bool) -> None:
    block, x = redrawn(KINDS["windows"](16)), torch.randn(2, T, 16)
    marks = torch.zeros(2, T, dtype=torch.bool)
    marks[:, 8] = True
    pattern = seen(block, x, step(padded, global_mask=marks), "pattern")["pattern"]
    kept = real() if padded else torch.ones_like(marks)
    looks = pattern > 0
    assert looks[:, :, 8][kept[:, None].expand(2, 2, T)].all()
    assert looks[:, :, :, 8][kept[:, None].expand(2, 2, T)].all()
    near = (kept.cumsum(1)[:, :, None] - kept.cumsum(1)[:, None]).abs() <= 3
    far = ~near & ~marks[:, :, None] & ~marks[:, None] & kept[:, :, None]
    assert not looks[far[:, None].expand_as(looks)].any()
    refused = pytest.raises(BlocksError, match="can be seen but not changed: rows of global")
    with refused, blocks.patch(block, {"pattern": torch.eye(T)}):
        block(x)


def test_a_latent_shows_keys_of_every_head() -> None:
    """Also for one new token, which asks the latents themselves."""
    spec = Spec(Residual, inner=KINDS["latent"], norm_in=RMSNorm)
    model: Any = redrawn(CausalLM(vocab=20, dim=16, layers=(spec,), norm=RMSNorm))
    tokens, state = torch.arange(6)[None], model.init_state(1)
    names = [f"layers.0.{part}" for part in ("q", "k", "v", "pattern")]
    with torch.no_grad(), blocks.capture(model, *names) as whole:
        model(tokens)
    with torch.no_grad(), blocks.capture(model, *names) as got:
        model(tokens[:, :5], state=state)
        model(tokens[:, 5:], state=state)
    for name in names:
        new = whole[name][:, :, -got[name].shape[2] :]
        torch.testing.assert_close(got[name], new, atol=1e-5, rtol=1e-4)


def test_what_a_kind_lacks_is_said_with_its_reason() -> None:
    infini = Spec(blocks.InfiniAttention, heads=2, segment=8)(16)
    with pytest.raises(BlocksError, match="has no pattern: it reads segment by segment"):
        seen(infini, torch.randn(1, 3, 16), step(False), "pattern")
    hashed = KINDS["hashed"](16)
    with pytest.raises(BlocksError, match="has no k: its keys are its queries"):
        seen(hashed, torch.randn(1, 3, 16), step(False), "k")


def test_a_translators_looks() -> None:
    model = blocks.bahdanau(vocab=20, source=30, dim=6, hidden=8, readout=5)()
    source, target = torch.tensor([[5, 6, 7]]), torch.tensor([[1, 2]])
    maps = blocks.attention_maps(model, source, target)
    (pattern,) = maps.values()
    assert torch.equal(pattern[:, 0], blocks.alignment(model, source, target))
    with pytest.raises(BlocksError, match="looks anew"), blocks.patch(model, dict(maps)):
        model(source, target)


def test_compiled_and_optimised_models_run_as_they_are() -> None:
    spec = Spec(Residual, inner=Spec(GQAttention, heads=2), norm_in=RMSNorm)
    model: Any = redrawn(CausalLM(vocab=20, dim=16, layers=(spec,) * 2, norm=RMSNorm))
    tokens, name = torch.arange(6)[None], "layers.1.pattern"
    with torch.no_grad():
        calls = []
        compiled = torch.compile(model, backend=lambda graph, _: calls.append(0) or graph.forward)
        plain = compiled(tokens)
        before = len(calls)
        with blocks.capture(compiled, name) as got, blocks.ablate(compiled, "layers.0"):
            changed = compiled(tokens)
        assert got[name].shape == (1, 2, 6, 6) and not torch.equal(changed, plain)
        assert torch.equal(compiled(tokens), plain) and len(calls) == before > 0
        quick = blocks.optimize(model, compile=False)
        assert blocks.hook_points(quick) == blocks.hook_points(model)
        with blocks.capture(quick, "**") as same:
            quick(tokens)
    torch.testing.assert_close(same[name][0, 0].sum(-1), torch.ones(6))


@pytest.mark.slow
def test_a_compiled_step_steps_aside() -> None:
    model = blocks.from_pretrained(blocks.packaged())
    quick = blocks.optimize(model)
    name = "layers.2.attention.pattern"
    with blocks.capture(quick, name, every=True) as got:
        ids = blocks.generate(quick, [1, 2, 3], max_new_tokens=4, stop=())
    assert [list(p.shape)[2:] for p in got[name]] == [[3, 3], [1, 4], [1, 5], [1, 6]]
    assert torch.equal(blocks.generate(quick, [1, 2, 3], max_new_tokens=4, stop=()), ids)


def test_answers_to_a_source_are_seen_in_their_pair() -> None:
    reads = Spec(Residual, inner=Spec(GQAttention, heads=2, mask=Full()))
    cross = Spec(Residual, inner=Spec(blocks.CrossAttention, heads=2))
    pair = blocks.EncoderDecoder(
        vocab=20,
        dim=8,
        encoder=Spec(blocks.LayerStack, layers=(reads,)),
        decoder=Spec(blocks.LayerStack, layers=(cross,)),
    )
    answers = pair.given(torch.arange(5)[None])
    with blocks.capture(answers, "decoder.layers.0.*", every=True) as got:
        blocks.generate(answers, torch.tensor([[1, 2]]), max_new_tokens=2, stop=())
    assert [list(p.shape[2:]) for p in got["decoder.layers.0.pattern"]] == [[2, 5], [1, 5]]
    assert [k.shape[2] for k in got["decoder.layers.0.k"]] == [5, 5]
