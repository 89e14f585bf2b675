"""swap: what goes over, what stays as it is, and what the report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import blocks
from blocks import (
    LSTM,
    MLP,
    Encoder,
    Full,
    GatedMLP,
    GQAttention,
    LayerNorm,
    LowRank,
    MoE,
    Parallel,
    Residual,
    RMSNorm,
    Spec,
    SpecError,
    Window,
    addresses,
    from_pretrained,
    replace,
    swap,
)
from tests.families.reference import first, load
from tests.hub.toy import write
from tests.surgery.small import (
    ATTENTION,
    DIM,
    LAYER,
    TIED,
    TOKENS,
    VOCAB,
    logits,
    model,
    of,
)


def test_with_itself_nothing_changes_and_nothing_is_shared() -> None:
    old = model(ties=TIED)
    held = {place: tensor.clone() for place, tensor in addresses(old).items()}
    new, report = swap(old, "layers.*.attention", lambda part: part, probe=TOKENS)
    assert torch.equal(logits(new), logits(old)) and new.spec == old.spec
    assert of(report.copied) == set(held) - {"head.weight"}
    assert not (report.converted or report.new or report.dropped)
    assert report.change is not None and report.change.largest == 0 == report.change.kl
    assert new.head.weight is new.embedding.weight
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(tensor, held[place]) for place, tensor in addresses(old).items())


def test_what_a_model_is_besides_its_weights_goes_over() -> None:
    old = from_pretrained(blocks.packaged(), dtype=torch.bfloat16)
    for parameter in old.embedding.parameters():
        parameter.requires_grad_(False)
    new, _ = swap(old, "layers.1.mlp", Spec(MLP, hidden=20, bias=True))
    assert not new.training and swap(old.train(), GQAttention, lambda a: a)[0].training
    assert {p.dtype for p in new.parameters()} == {torch.bfloat16}
    assert (
        not new.embedding.weight.requires_grad and new.layers[0].mlp.inner.up.weight.requires_grad
    )
    assert new.generation == old.generation and new.origin == old.origin
    assert (new.provenance.source, new.provenance.family) == (old.provenance.source, "llama")
    still, _ = swap(old.requires_grad_(False), GQAttention, lambda a: replace(a, kv_heads=1))
    assert not any(p.requires_grad for p in still.parameters())
    (line,) = new.provenance.changes
    assert (
        line.startswith("swapped layers.1.mlp: GatedMLP -> MLP, 1 place")
        and not old.provenance.changes
    )
    again, _ = swap(new, "layers.0.mlp", Spec(MLP, hidden=20))
    assert len(again.provenance.changes) == 2


def test_buffers_keep_their_own_dtype() -> None:
    spec = Spec(
        MoE, experts=4, top_k=2, expert=Spec(GatedMLP, hidden=24), router=blocks.SigmoidRouter
    )
    new, report = swap(model().bfloat16(), GatedMLP, spec)
    correction = addresses(new)["layers.0.mlp.router.correction"]
    assert correction.dtype == torch.float32 and "layers.0.mlp.router.correction" in of(report.new)


def test_the_report_says_it_in_words_and_in_json() -> None:
    _, report = swap(model(), GQAttention, lambda a: replace(a, kv_heads=1), probe=TOKENS)
    text, data = str(report), json.loads(json.dumps(report.to_json()))
    assert "GQAttention: GQAttention -> GQAttention, 3 places" in text
    assert "converted  layers.{0-2}.attention.k.weight  3 x 64  mean of 2 heads" in text
    assert "on 18 tokens: logits differ by" in text and "loss" in text
    assert data["converted"][0] == {
        "address": "layers.0.attention.k.weight",
        "parameters": 64,
        "sources": ["layers.0.attention.k.weight"],
        "words": "mean of 2 heads",
    }
    assert data["places"] == [f"layers.{i}.attention" for i in range(3)]
    assert max(map(len, text.splitlines())) < 120


def test_every_parameter_is_in_one_list() -> None:
    old = model(ties=TIED)
    spec = Spec(LSTM, hidden=DIM)
    new, report = swap(old, "layers.[02].mlp", spec)
    kept = report.copied + report.converted + report.new
    assert sum(f.parameters for f in kept) == sum(p.numel() for p in new.parameters())
    assert len(of(kept)) == len(kept)
    was = sum(p.numel() for p in old.parameters())
    assert sum(f.parameters for f in (*report.copied, *report.dropped)) == was


def test_wrappers_share_the_address_of_what_they_wrap() -> None:
    old = model()
    lean, report = swap(old, "layers.1.mlp", lambda m: Spec(LowRank, inner=m, on=("up",), rank=2))
    assert of(report.new) == {f"layers.1.mlp.up.{x}.weight" for x in "ab"}
    torch.testing.assert_close(logits(lean), logits(old))
    back, report = swap(lean, "layers.1.mlp", lambda m: m)
    assert torch.equal(logits(back), logits(lean)) and not report.new
    bare, report = swap(old, Residual, lambda r: replace(r, norm_in=None, norm_out=RMSNorm))
    assert of(report.dropped) == {
        f"layers.{i}.{x}.norm_in.weight" for i in range(3) for x in ("attention", "mlp")
    }
    assert len(report.new) == 6 and not report.converted and bare is not old


def test_a_layer_for_a_layer_pairs_parts_by_name() -> None:
    old = model()
    attention = replace(ATTENTION, kv_heads=4)
    inner = Spec(Parallel, branches={"attention": attention, "mlp": Spec(GatedMLP, hidden=24)})
    new, report = swap(old, "layers.1", Spec(Residual, inner=inner, norm_in=RMSNorm))
    words = {fate.address: fate.words for fate in report.converted}
    assert words == {f"layers.1.attention.{x}.weight": "each of 2 heads 2 times" for x in "kv"}
    assert of(report.new) == {"layers.1.norm_in.weight"}
    assert of(report.dropped) == {f"layers.1.{x}.norm_in.weight" for x in ("attention", "mlp")}
    assert torch.equal(
        addresses(new)["layers.1.mlp.up.weight"], addresses(old)["layers.1.mlp.up.weight"]
    )


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_layer_that_is_taken_out_leaves_the_others_their_weights(gone: int) -> None:
    old = model()
    new, report = swap(old, f"layers.{gone}", None)
    left = [i for i in range(3) if i != gone]
    for now, was in enumerate(left):
        for name in ("attention.q.weight", "mlp.norm_in.weight"):
            ours = addresses(new)[f"layers.{now}.{name}"]
            assert torch.equal(ours, addresses(old)[f"layers.{was}.{name}"])
    assert {fate.address.split(".")[1] for fate in report.dropped} == {str(gone)}
    assert not report.new and report.after == "nothing"
    twice = replace(old.spec, layers=(*old.spec.keywords["layers"], LAYER))
    grown, report = swap(old, "", twice)
    assert not report.dropped and {fate.address.split(".")[1] for fate in report.new} == {"3"}
    assert torch.equal(
        addresses(grown)["layers.2.mlp.up.weight"], addresses(old)["layers.2.mlp.up.weight"]
    )


@pytest.mark.parametrize("before", [True, False])
def test_parts_of_a_list_keep_their_weights_where_others_come_or_go(before: bool) -> None:
    old = model()
    norm, rope = ATTENTION.keywords["qk"]
    qk = (rope, norm) if before else (norm,)
    new, report = swap(old, GQAttention, lambda a: replace(a, qk=qk))
    assert not report.new and not report.dropped and not report.converted
    place = "layers.2.attention.qk.{}.k.weight"
    assert torch.equal(addresses(new)[place.format(int(before))], addresses(old)[place.format(0)])


def test_ties_hold_as_far_as_both_sides_are_still_equal() -> None:
    ties = (*TIED, ("layers.1", "layers.0"), ("layers.2.mlp.up.weight", "layers.0.mlp.up.weight"))
    old = model(ties=ties)
    same, _ = swap(old, RMSNorm, lambda n: replace(n, eps=1e-3))
    assert same.spec.keywords["ties"] == ties and same.layers[1] is same.layers[0]
    fewer, _ = swap(old, GQAttention, lambda a: replace(a, kv_heads=1))
    assert fewer.spec.keywords["ties"] == ties
    one, report = swap(old, "layers.0.mlp", Spec(LSTM))
    held = dict(one.spec.keywords["ties"])
    assert held["layers.1.attention.q.weight"] == "layers.0.attention.q.weight"
    assert held["layers.2.mlp.up.weight"] == "layers.1.mlp.up.weight", "the source is gone"
    assert addresses(one)["layers.2.mlp.up.weight"] is addresses(one)["layers.1.mlp.up.weight"]
    assert not report.dropped, "the other layer has what this one had"
    assert torch.isfinite(logits(one)).all()


def test_a_head_is_tied_and_untied() -> None:
    loose, report = swap(model(ties=TIED), "", lambda m: replace(m, ties=()))
    assert loose.head.weight is not loose.embedding.weight and not report.new
    assert torch.equal(loose.head.weight, loose.embedding.weight)
    tied, report = swap(model(), "", lambda m: replace(m, ties=TIED))
    assert tied.head.weight is tied.embedding.weight and of(report.dropped) == {"head.weight"}


def test_probes() -> None:
    old = from_pretrained(blocks.packaged())
    _, report = swap(
        old, GQAttention, lambda a: replace(a, mask=Window(2)), probe="Once upon a time"
    )
    ids = blocks.Tokenizer.from_pretrained(blocks.packaged()).encode("Once upon a time")
    _, same = swap(old, GQAttention, lambda a: replace(a, mask=Window(2)), probe=ids)
    assert report.change == same.change and report.change is not None
    loss = blocks.next_token_loss(old.eval(), torch.tensor([ids]))
    assert report.change.loss_before == pytest.approx(float(loss.detach()), rel=1e-3)
    layer = Spec(Residual, inner=Spec(GQAttention, heads=2, mask=Full()))
    reader = Encoder(vocab=VOCAB, dim=DIM, layers=(layer,), norm=LayerNorm)
    _, report = swap(reader, LayerNorm, RMSNorm, probe=(TOKENS,))
    assert report.change is not None and report.change.mean > 0 and report.change.kl is None
    with pytest.raises(SpecError, match="probe"):
        swap(reader, LayerNorm, RMSNorm, probe=object())


def test_a_probe_of_a_pair_is_two_texts(tmp_path: Path) -> None:
    pair = load("t5", first("t5"), tmp_path).ours
    with pytest.raises(SpecError, match=r"one text.*probe=\(source, target\)"):
        swap(pair, RMSNorm, lambda old: old, probe=[1, 2])
    _, report = swap(pair, RMSNorm, lambda old: old, probe=(TOKENS, TOKENS))
    assert report.change is not None and report.change.largest == 0


def test_a_swapped_model_is_saved_and_loaded(tmp_path: Path) -> None:
    new, _ = swap(model(ties=TIED), "layers.0.attention", Spec(LSTM))
    blocks.save_pretrained(new, tmp_path)
    again = from_pretrained(tmp_path)
    torch.testing.assert_close(logits(again), logits(new))
    assert again.provenance.changes == new.provenance.changes and again.spec == new.spec


def test_a_rewrite_while_loading_converts_alike(tmp_path: Path) -> None:
    folder = write(tmp_path)

    def edit(spec: Any) -> Any:
        return blocks.rewrite(spec, GQAttention, lambda old: replace(old, kv_heads=1))

    plain = from_pretrained(folder)
    loaded, swapped = from_pretrained(folder, rewrite=edit), swap(plain, "", edit)[0]
    theirs = addresses(swapped)
    assert all(torch.equal(tensor, theirs[place]) for place, tensor in addresses(loaded).items())
    assert "4 tensors converted: mean of 2 heads" in loaded.provenance.changes[0]
    assert not loaded.provenance.initialised and not loaded.provenance.left_out
