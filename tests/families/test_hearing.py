"""Models that hear: frames that are padding, answers over a memory that is read once."""

from __future__ import annotations

import copy

import pytest
import torch

import blocks
from blocks import GenerationError
from tests.families import ageing
from tests.families.reference import TARGET, TOKENS, TOLERANCE, families, first, pairs

hearers = pytest.mark.parametrize(("family", "variant"), pairs("hearer"))
writers = pytest.mark.parametrize(("family", "variant"), pairs("transcriber"))


@writers
@pytest.mark.parametrize("room", [None, TARGET])
def test_answers_from_memory(loaded, family, variant, room):
    it = loaded(family, variant)
    given = it.ours.given(it.tokens)
    state = given.init_state(2, room)
    given.memory = given.memory.clone()
    with torch.no_grad():
        parts = [given(it.target[:, :3], state=state)]
        given.memory.fill_(torch.nan)  # read once, by the first step
        parts += [
            given(part, state=state) for part in it.target[:, 3:].split([1, 1, TARGET - 5], 1)
        ]
    assert it.close(torch.cat(parts, 1), it.logits) <= TOLERANCE


@writers
def test_the_memory_is_the_reference_s(loaded, family, variant):
    it = loaded(family, variant)
    with torch.no_grad():
        ours, real = it.ours.encode(it.tokens)
        theirs = it.reference.model.encoder(it.case.hears(it.tokens)).last_hidden_state
    assert real is None
    assert float((ours - theirs).abs().max() / theirs.std()) <= TOLERANCE


@writers
def test_frames_that_are_padding_are_not_heard(loaded, family, variant):
    it = loaded(family, variant)
    mask = torch.arange(TOKENS) < torch.tensor([[TOKENS], [27]])
    loud = torch.where(mask[..., None], it.tokens, torch.inf)
    ours = it.answer(it.ours, loud, mask)
    assert it.close(ours[:1], it.logits[:1]) <= TOLERANCE
    with torch.no_grad():
        alone = it.ours(it.tokens[1:, :27], it.target[1:])
    assert it.close(ours[1:], alone) <= TOLERANCE
    with pytest.raises(GenerationError, match="end alone"):
        it.answer(it.ours, it.tokens, mask.flip(1))


@writers
def test_greedy_answers(loaded, family, variant):
    it = loaded(family, variant)
    start = it.target[:, :1]
    how = {"max_new_tokens": 8, "stop": ()}
    ours = blocks.generate(it.ours, it.tokens, start=start.tolist(), **how)
    tokens = start
    for _ in range(8):
        with torch.no_grad():
            tokens = torch.cat([tokens, it.ours(it.tokens, tokens)[:, -1:].argmax(-1)], 1)
    assert ours.tolist() == tokens.tolist()


@writers
def test_sounds_of_another_shape_are_refused(loaded, family, variant):
    it = loaded(family, variant)
    for wrong in (it.tokens.mT, it.tokens[0], it.tokens.long(), it.tokens[:, :0]):
        with pytest.raises(GenerationError):
            it.ours(wrong, it.target)
    with pytest.raises(GenerationError, match="position 20 is beyond"):
        it.ours(torch.cat([it.tokens, it.tokens[:, :2]], 1), it.target)


@hearers
def test_padding_is_not_heard(loaded, family, variant):
    it = loaded(family, variant)
    mask = torch.arange(TOKENS) < torch.tensor([[TOKENS], [27]])
    loud = torch.where(mask[..., None], it.tokens, torch.inf)
    ours = it.answer(it.ours, loud, mask)
    real = it.ours.heard(it.tokens, mask)
    assert real is not None and real[0].all() and not real[1].all()
    assert it.close(ours[:1], it.logits[:1]) <= TOLERANCE
    alone, second = it.ask(it.tokens[1:, :27]), ours[1:]
    if ours.dim() == 3:  # an answer for every place
        assert int(real[1].sum()) == alone.shape[1]
        second = ours[1:, real[1]]
    assert it.close(second, alone) <= TOLERANCE
    with pytest.raises(GenerationError, match="end alone"):
        it.answer(it.ours, it.tokens, mask.flip(1))


@hearers
def test_too_few_frames_are_refused(loaded, family, variant):
    it = loaded(family, variant)
    for wrong in (it.tokens[0], it.tokens.long(), it.tokens[:, :0]):
        with pytest.raises(GenerationError):
            it.ours(wrong)


@hearers
def test_training_goes_through_every_parameter(loaded, family, variant):
    it = loaded(family, variant)
    ours = copy.deepcopy(it.ours).train()
    mask = torch.arange(TOKENS) < torch.tensor([[TOKENS], [33]])
    logs = ours(it.tokens, mask).log_softmax(-1)
    loss = -logs[..., 0].mean()
    if ours.vocab is not None:
        lengths, said = ours.heard(it.tokens, mask).sum(1), torch.tensor([[1, 2], [3, 4]])
        both = torch.tensor([2, 2])
        loss = torch.nn.functional.ctc_loss(logs.transpose(0, 1), said, lengths, both)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in ours.parameters())
    before, after = (blocks.addresses(model) for model in (it.ours, ours))
    for address in before:
        if address.endswith(("conv.norm.mean", "conv.norm.variance")):
            assert not torch.equal(before[address], after[address])


@pytest.mark.parametrize("family", families("hearer", "transcriber"))
def test_what_it_weighs_without_its_weights(loaded, family):
    it = loaded(family, first(family))
    report = blocks.inspect(it.folder)
    assert report.fits and not report.unmapped
    assert (report.memory()["state"] > 0) == (it.case.kind == "transcriber")
    assert type(it.ours).__name__ in str(blocks.explain(it.ours))


@pytest.mark.parametrize("spelling", ["weight_g weight_v", "weight"])
def test_what_no_conformer_uses_may_be_spelt_in_any_way(loaded, tmp_path, spelling):
    it = loaded("wav2vec2-conformer", "rotary")
    place = "wav2vec2_conformer.encoder.pos_conv_embed.conv."
    new = [place + f"parametrizations.weight.original{n}" for n in (0, 1)]

    def older(tensors):
        assert set(new) <= set(tensors)
        kept = {name: tensor for name, tensor in tensors.items() if name not in new}
        both = [place + name for name in spelling.split()]
        return kept | {name: tensors[new[0]].clone() for name in both}

    ours = blocks.from_pretrained(ageing.aged(it.folder, tmp_path / "older", tensors=older))
    assert it.close(it.answer(ours, it.tokens), it.logits) <= TOLERANCE


@pytest.mark.parametrize("variant", ["plain", "odd kernel"])
def test_the_older_spelling_of_a_weight_and_its_length(loaded, tmp_path, variant):
    it = loaded("wav2vec2", variant)
    spelt = {"parametrizations.weight.original0": "weight_g"}
    spelt["parametrizations.weight.original1"] = "weight_v"

    def older(tensors):
        found = {}
        for name, tensor in tensors.items():
            for new, old in spelt.items():
                name = name.replace(new, old)
            found[name] = tensor
        assert sum("weight_" in name for name in found) == 2
        return found

    folder = ageing.aged(it.folder, tmp_path / "older", tensors=older)
    ours = blocks.from_pretrained(folder)
    assert it.close(it.answer(ours, it.tokens), it.logits) <= TOLERANCE
    blocks.export(ours, tmp_path / "newer")
    again = blocks.from_pretrained(tmp_path / "newer")
    assert it.close(it.answer(again, it.tokens), it.logits) <= TOLERANCE


@pytest.mark.parametrize("family", ["wav2vec2", "wav2vec2-conformer"])
def test_a_file_with_a_head_is_read_as_a_bare_model(loaded, tmp_path, family):
    it = loaded(family, "plain")
    bare = it.case.variants["bare"]

    def named(config):
        return config | {"architectures": [bare.model.__name__]}

    ours = blocks.from_pretrained(ageing.aged(it.folder, tmp_path / "bare", config=named))
    with torch.no_grad():
        theirs = it.reference.base_model(it.case.hears(it.tokens))
    assert it.close(it.answer(ours, it.tokens), bare.answer(theirs)) <= TOLERANCE
    with pytest.raises(GenerationError, match="names no tokens"):
        blocks.transcribe(ours, torch.zeros(160))
