"""Encoder–decoders whose task is to tell something of a text: ends, targets, files of all forms."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file

import blocks
from blocks import (
    Encoder,
    EncoderDecoder,
    GenerationError,
    LMHead,
    SentenceHead,
    ShiftRight,
    SourceReader,
    Spec,
    SpecError,
    replace,
)
from tests.families import ageing
from tests.families.reference import TOLERANCE

PADDED = [("bart", 1, 2), ("mbart", 1, 2), ("t5", 0, 1)]
START = {"t5": 0, "mt5": 0, "umt5": 0, "bart": 2, "mbart": 7, "led": 2, "pegasus": 2, "marian": 1}


def padded(it, pad, end):
    """Two texts with one end each, the second shorter, filled with the padding token."""
    mask = torch.arange(40) < torch.tensor([[40], [27]])
    tokens = it.tokens.clamp(min=3)
    tokens[0, 39], tokens[1, 26] = end, end
    return tokens.masked_fill(~mask, pad), mask


@pytest.mark.parametrize(("family", "pad", "end"), PADDED)
@pytest.mark.parametrize("variant", ["classes", "spans", "bare"])
def test_padded_texts(loaded, family, pad, end, variant):
    it = loaded(family, variant)
    tokens, mask = padded(it, pad, end)
    ours, theirs = it.answer(it.ours, tokens, mask), it.ask(tokens, mask=mask)
    kept = mask if ours.dim() == 3 else slice(None)
    assert it.close(ours[kept], theirs[kept]) <= TOLERANCE
    alone = it.answer(it.ours, tokens[1:, :27])
    assert it.close(ours[1:, :27] if ours.dim() == 3 else ours[1:], alone) <= TOLERANCE
    left = torch.cat([tokens[1:, 27:], tokens[1:, :27]], 1)
    turned = it.answer(it.ours, left, mask[1:].flip(1))
    assert it.close(turned[:, 13:] if ours.dim() == 3 else turned, alone) <= TOLERANCE


@pytest.mark.parametrize("family", START)
def test_a_target_that_a_call_gives(loaded, family):
    it = loaded(family, "bare")
    target = torch.full((2, 12), START[family]).scatter(1, torch.arange(1, 12).repeat(2, 1), 9)
    mask = torch.arange(12) < torch.tensor([[12], [8]])
    with torch.no_grad():
        ours = it.ours(it.tokens, target=target, target_mask=mask)
        more = {"decoder_input_ids": target, "decoder_attention_mask": mask.long()}
        theirs = it.reference(it.tokens, use_cache=False, **more).last_hidden_state
    assert it.close(ours[mask], theirs[mask]) <= TOLERANCE


def test_frames_and_a_target(loaded, tmp_path):
    it = loaded("whisper", "plain")
    reference = transformers.WhisperModel._from_config(it.reference.config).eval()
    reference.load_state_dict(it.reference.model.state_dict())
    reference.save_pretrained(tmp_path / "theirs")
    ours = blocks.from_pretrained(tmp_path / "theirs")
    with torch.no_grad():
        asked = {"decoder_input_ids": it.target, "use_cache": False}
        theirs = reference(it.case.hears(it.tokens), **asked).last_hidden_state
        assert it.close(ours(it.tokens, target=it.target), theirs) <= TOLERANCE
    with pytest.raises(GenerationError, match="no target"):
        ours(it.tokens)
    blocks.export(ours, tmp_path / "ours")
    assert json.loads((tmp_path / "ours/config.json").read_text())["architectures"] == [
        "WhisperModel"
    ]
    assert blocks.from_pretrained(tmp_path / "ours").spec == ours.spec
    with pytest.raises(SpecError, match="frames"):
        replace(ours.spec, shift=ShiftRight(2))()


def test_the_first_files_of_a_classifier(loaded, tmp_path):
    it = loaded("bart", "classes")

    def first(tensors):
        table = tensors["model.shared.weight"]
        halves = [f"model.{half}." for half in ("encoder", "decoder")]
        copies = {f"{half}embed_tokens.weight": table.clone() for half in halves}
        versions = {f"{half}version": torch.tensor([3.0]) for half in halves}
        return tensors | copies | versions | {"final_logits_bias": torch.zeros(1, 97)}

    def said(data):
        labels = {str(n): f"LABEL_{n}" for n in range(5)}
        return data | {"id2label": labels, "_num_labels": 5, "classif_dropout": 0.0}

    folder = ageing.aged(it.folder, tmp_path / "first", tensors=first, config=said)
    ours = blocks.from_pretrained(folder)
    assert it.close(it.answer(ours, it.tokens), it.logits) <= TOLERANCE
    assert ours.spec == it.ours.spec
    assert "final_logits_bias" in ours.provenance.left_out


@pytest.mark.parametrize("family", ["t5", "mt5", "umt5"])
@pytest.mark.parametrize("whole", [True, False])
def test_an_encoder_alone(loaded, tmp_path, family, whole):
    """Whether its file holds the decoder as well, and whatever it says of being one of two."""
    it = loaded(family, "plain")
    name = type(it.reference).__name__.replace("ForConditionalGeneration", "EncoderModel")
    named = {"config": lambda data: data | {"architectures": [name], "is_encoder_decoder": whole}}
    half = ("shared.", "encoder.")
    kept = {} if whole else {"tensors": lambda a: {n: a[n] for n in a if n.startswith(half)}}
    ours = blocks.from_pretrained(ageing.aged(it.folder, tmp_path / "encoder", **named, **kept))
    assert type(ours) is Encoder and bool(ours.provenance.left_out) == whole
    with torch.no_grad():
        theirs = it.reference.encoder(it.tokens).last_hidden_state
        assert it.close(ours(it.tokens), theirs) <= TOLERANCE
    blocks.save_pretrained(ours, tmp_path / "saved")
    assert blocks.from_pretrained(tmp_path / "saved").spec == ours.spec
    blocks.export(replaced(ours), tmp_path / "exported")
    names = set(load_file(tmp_path / "exported/model.safetensors"))
    assert names == {n for n in load_file(it.folder / "model.safetensors") if n.startswith(half)}


def replaced(model):
    """What a sentence-transformers repository makes of an encoder is written as the encoder."""
    model.spec = replace(model.spec, head=Spec(SentenceHead, unit=False))
    model.head = SentenceHead(model.dim, unit=False)
    return model


def test_the_first_name_of_t5(loaded, tmp_path):
    it = loaded("t5", "plain")
    named = {"config": lambda data: data | {"architectures": ["T5WithLMHeadModel"]}}
    ours = blocks.from_pretrained(ageing.aged(it.folder, tmp_path / "first", **named))
    assert ours.spec == it.ours.spec


def test_a_bare_model_is_made_to_write(loaded):
    """As `facebook/bart-base` is used, whose files name no head."""
    it = loaded("bart", "bare")

    def writing(spec):
        kept = ("vocab", "dim", "encoder", "decoder", "context")
        ties = (*spec.keywords["ties"], ("head.weight", "encoder.embedding.weight"))
        parts = {name: spec.keywords[name] for name in kept}
        return Spec(EncoderDecoder, head=Spec(LMHead), ties=ties, **parts)

    ours = blocks.from_pretrained(it.folder, rewrite=writing)
    theirs = transformers.BartForConditionalGeneration.from_pretrained(it.folder).eval()
    with torch.no_grad():
        logits = theirs(it.tokens, decoder_input_ids=it.target).logits
        assert (ours(it.tokens, it.target) - logits).abs().max() <= TOLERANCE * logits.std()


def test_a_saved_reader(loaded, tmp_path):
    it = loaded("mbart", "classes")
    blocks.save_pretrained(it.ours, tmp_path)
    again = blocks.from_pretrained(tmp_path)
    assert type(again) is SourceReader and again.spec == it.ours.spec
    assert it.answer(again, it.tokens).equal(it.answer(it.ours, it.tokens))


def test_tokens_that_see_all(loaded):
    it = loaded("led", "spans")
    marks = torch.zeros_like(it.tokens, dtype=torch.bool).index_fill(1, torch.tensor([0, 30]), True)
    with torch.no_grad():
        ours = it.ours(it.tokens, global_mask=marks)
        theirs = it.variant.answer(it.reference(it.tokens, global_attention_mask=marks.long()))
    assert it.close(ours, theirs) <= TOLERANCE < it.close(it.ours(it.tokens), theirs)


def test_what_is_asked_amiss(loaded):
    ours, tokens = loaded("bart", "classes").ours, loaded("bart", "classes").tokens
    with pytest.raises(GenerationError, match="without token 2"):
        ours(tokens.clamp(min=3))
    mask = torch.arange(40)[None] < 10  # whose end is hidden
    with pytest.raises(GenerationError, match="without token 2"):
        ours(tokens, mask.expand(2, -1))
    with pytest.raises(GenerationError, match="don't tell where"):
        ours(tokens, target=tokens[:, :5])
    with pytest.raises(GenerationError, match="no target"):
        ours(tokens, target_mask=mask.expand(2, -1))
    with pytest.raises(GenerationError, match="2 sources"):
        ours(tokens, target=tokens[:1])
    with pytest.raises(GenerationError, match="language-model head.*rewrite="):
        blocks.generate(ours, tokens, max_new_tokens=2)
    for wrong in ({"end": 97}, {"shift": ShiftRight(97)}):
        with pytest.raises(SpecError, match="not in the vocabulary"):
            replace(ours.spec, **wrong)()
    with pytest.raises(SpecError, match="no token"):
        ShiftRight(-1)


def test_shifted_texts():
    tokens = torch.tensor([[5, 6, 7, 8], [0, 0, 5, 6], [5, 6, 0, 0], [5, 0, 6, 0]])
    real = tokens > 0
    moved = ShiftRight(2)(tokens, real)
    rows = [row[one].tolist() for row, one in zip(moved, real, strict=True)]
    assert rows == [[2, 5, 6, 7], [2, 5], [2, 5], [2, 5]]
    moved = ShiftRight()(tokens, real)
    rows = [row[one].tolist() for row, one in zip(moved, real, strict=True)]
    assert rows == [[8, 5, 6, 7], [6, 5], [6, 5], [6, 5]]
    assert ShiftRight()(tokens[:1]).tolist() == [[8, 5, 6, 7]]
