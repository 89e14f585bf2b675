"""Patches of images among the tokens: Fuyu reads them as the reference does."""

from __future__ import annotations

import functools

import pytest
import torch

import blocks
from blocks import GenerationError, SpecError
from tests.families import ageing
from tests.families.reference import TOLERANCE

IMAGE, WIDTH, COUNT = 90, 18, 6  # the placeholder, the values of a patch, patches a row


@pytest.fixture
def it(loaded):
    return loaded("fuyu", "plain")


@pytest.fixture
def tokens(it):
    """Rows with as many placeholders, in other places of each."""
    rows = torch.where(it.tokens == IMAGE, 1, it.tokens)
    rows[0, 2 : 2 + COUNT] = IMAGE
    rows[1, [0, 3, 4, 5, 8, 11]] = IMAGE
    return rows


@pytest.fixture
def patches():
    return torch.randn(2, COUNT, WIDTH, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def logits(it, tokens, patches):
    with torch.no_grad():
        return it.reference(tokens, pixel_values=patches, use_cache=False).logits


def test_logits(it, tokens, patches, logits):
    assert (logits - it.ask(tokens)).abs().max() > 1  # they matter
    assert it.close(it.ours(tokens, media=patches), logits) <= TOLERANCE
    assert it.close(it.ours(tokens, media=patches.flatten(0, 1)), logits) <= TOLERANCE


def test_a_placeholder_without_patches_is_a_token(it, tokens):
    assert it.close(it.ours(tokens), it.ask(tokens)) <= TOLERANCE


def test_rows_with_other_counts(it, tokens, patches, logits):
    one = it.tokens[:1].masked_fill(it.tokens[:1] == IMAGE, 1)
    one[0, 7] = IMAGE
    both, flat = torch.cat([one, tokens[:1]]), torch.cat([patches[1, 5:], patches[0]])
    found = it.ours(both, media=flat)
    assert it.close(found[1:], logits[:1]) <= TOLERANCE
    assert it.close(found[:1], it.ours(one, media=patches[1, 5:])) <= TOLERANCE


def test_padding_holds_no_patches(it, tokens, patches, logits):
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[1, 30:] = False
    found = it.ours(tokens.masked_fill(~mask, IMAGE), mask, media=patches)
    assert it.close(found[mask], logits[mask]) <= TOLERANCE


def test_chunks_from_memory(it, tokens, patches, logits):
    state = it.ours.init_state(2)
    with torch.no_grad():
        parts = [
            it.ours(tokens[:, :5], state=state, media=torch.cat([patches[0, :3], patches[1, :3]]))
        ]
        parts += [it.ours(tokens[:, 5:12], state=state, media=patches[:, 3:])]
        parts += [it.ours(tokens[:, 12:], state=state)]
    assert it.close(torch.cat(parts, 1), logits) <= TOLERANCE


def test_generation(it, tokens, patches):
    prompt = tokens[:, :20]
    ours = blocks.generate(it.ours, prompt, media=patches, max_new_tokens=8, stop=())
    theirs = it.reference.generate(
        prompt,
        pixel_values=patches,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=8,
        do_sample=False,
    )
    assert ours.tolist() == theirs.tolist()
    assert ours.tolist() != blocks.generate(it.ours, prompt, max_new_tokens=8, stop=()).tolist()
    streamed = blocks.stream(it.ours, prompt[:1], media=patches[:1], max_new_tokens=8, stop=())
    assert list(streamed) == ours[0, 20:].tolist()


def test_generation_from_ragged_prompts(it, tokens, patches):
    rows = [tokens[0, :20].tolist(), tokens[1, :15].tolist()]
    ours = blocks.generate(it.ours, rows, media=patches, max_new_tokens=4, stop=())
    for row, prompt in enumerate(rows):
        media = patches[row : row + 1]
        alone = blocks.generate(it.ours, prompt, media=media, max_new_tokens=4, stop=())
        assert ours[row, -4:].tolist() == alone[0, -4:].tolist()


def test_patches_are_exported_and_saved(it, tokens, patches, logits, tmp_path):
    blocks.export(it.ours, tmp_path / "theirs")
    theirs = it.case.model.from_pretrained(tmp_path / "theirs", dtype=torch.float32).eval()
    with torch.no_grad():
        again = theirs(tokens, pixel_values=patches, use_cache=False).logits
    assert it.close(again, logits) <= TOLERANCE
    blocks.save_pretrained(it.ours, tmp_path / "ours")
    again = blocks.from_pretrained(tmp_path / "ours")(tokens, media=patches)
    assert it.close(again, logits) <= TOLERANCE


@pytest.mark.parametrize("options", [{"patch_size": 4}, {"num_channels": 3}])
def test_a_patch_of_another_size_does_not_fit(it, tmp_path, options):
    folder = ageing.aged(it.folder, tmp_path / "aged", config=lambda data: data | options)
    with pytest.raises(blocks.CheckpointError, match="vision_embed_tokens.weight"):
        blocks.from_pretrained(folder)


def test_another_placeholder_breaks_parity(it, tokens, patches, logits):
    def other(spec):
        media = blocks.replace(spec.keywords["media"], token=int(tokens[0, 30]))
        return blocks.replace(spec, media=media)

    ours = blocks.from_pretrained(it.folder, rewrite=other)
    with pytest.raises(GenerationError, match="placeholders"):
        ours(tokens, media=patches)


@pytest.mark.parametrize(
    ("media", "message"),
    [
        (lambda p: p[:, :5], "5 embeddings for 6 placeholders in row 0"),
        (lambda p: p.flatten(0, 1)[:7], "7 embeddings for 12 placeholders"),
        (lambda p: p[:1], "media of 1 rows for 2 rows of tokens"),
        (lambda p: p.tolist(), "a list is no tensor"),
    ],
)
def test_wrong_media_are_told(it, tokens, patches, media, message):
    with pytest.raises(GenerationError, match=message) as caught:
        it.ours(tokens, media=media(patches))
    assert caught.value.field == "media"


def test_a_wrong_width_is_told(it, tokens, patches):
    with pytest.raises(SpecError, match=r"PatchEmbedding takes \[..., 18\], not \[2, 6, 17\]"):
        it.ours(tokens, media=patches[..., 1:])


def test_a_model_of_text_takes_no_media(loaded, tokens, patches):
    model = loaded("persimmon", "plain").ours
    for ask in (model, functools.partial(blocks.generate, model)):
        with pytest.raises(GenerationError, match="CausalLM reads tokens alone"):
            ask(tokens, media=patches)


def test_a_negative_placeholder_is_refused():
    with pytest.raises(SpecError, match="-1 is no token's id"):
        blocks.MediaTokens(8, token=-1, embed=blocks.Spec(blocks.PatchEmbedding, patch=2))
