"""Logit lens, attention maps and activation statistics: their numbers, and their pictures."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from index import ROOT

import blocks
from blocks import BlocksError, Chain, GQAttention, Residual, RMSNorm, Spec
from blocks.attention.mask import Full

TOKENS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
LAYER = Spec(Residual, inner=Spec(GQAttention, heads=2), norm_in=RMSNorm)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return blocks.CausalLM(vocab=20, dim=8, layers=(LAYER,) * 3, norm=RMSNorm).eval()


class Letters:
    """A tokenizer of letters, one of them awkward to show."""

    def decode(self, ids: list[int]) -> str:
        return "".join(" $\n_"[i] if i < 4 else chr(97 + i) for i in ids)


def test_the_lens_reads_as_the_model_reads(model: Any) -> None:
    lens, logits = blocks.logit_lens(model, TOKENS, top=3), model(TOKENS)
    places = ["layers.0.before", "layers.0.after", "layers.1.after", "layers.2.after"]
    assert list(lens.states) == places
    assert torch.equal(lens.logits("layers.2.after"), logits)
    early = model.head(model.norm(lens.states["layers.0.after"]))
    assert torch.equal(lens.logits("layers.0.after"), early)
    best = early.softmax(-1).topk(3, -1)
    assert torch.equal(lens.ids[1], best.indices)
    torch.testing.assert_close(lens.probabilities[1], best.values)
    far = torch.nn.functional.kl_div(
        early.log_softmax(-1), logits.softmax(-1), reduction="none"
    ).sum(-1)
    torch.testing.assert_close(lens.divergence[1], far)
    assert not lens.divergence[-1].any() and not lens.divergence.requires_grad
    last = str(int(logits[0, -1].argmax()))
    assert str(lens).splitlines()[0].split() == ["AFTER", *map(str, TOKENS[0].tolist())]
    assert str(lens).splitlines()[-1].split()[-1] == last


def test_the_lens_of_a_pair_and_of_a_mask(model: Any) -> None:
    both = Spec(
        Chain,
        steps={
            "attention": LAYER,
            "cross": Spec(Residual, inner=Spec(blocks.CrossAttention, heads=2)),
        },
    )
    reads = blocks.replace(LAYER, inner=Spec(GQAttention, heads=2, mask=Full()))
    pair = blocks.EncoderDecoder(
        vocab=20,
        dim=8,
        encoder=Spec(blocks.LayerStack, layers=(reads,)),
        decoder=Spec(blocks.LayerStack, layers=(both,), norm=RMSNorm),
    )
    lens = blocks.logit_lens(pair, TOKENS, TOKENS[:, :2])
    assert torch.equal(lens.logits("decoder.layers.0.after"), pair(TOKENS, TOKENS[:, :2]))
    assert torch.equal(lens.tokens, TOKENS[:, :2])
    masked = blocks.MaskedLM(vocab=20, dim=8, layers=(reads,) * 2)
    assert torch.equal(blocks.logit_lens(masked, TOKENS).logits("layers.1.after"), masked(TOKENS))
    maps = blocks.attention_maps(pair, TOKENS, TOKENS[:, :2])
    sides = [tuple(x.shape[1] for x in maps.tokens[name]) for name in maps]
    assert sides == [(5, 5), (2, 2), (2, 5)] == [tuple(map.shape[2:]) for map in maps.values()]


def test_statistics_are_those_of_what_is_captured(model: Any) -> None:
    names = ("layers.1.after", "layers.1.heads", "layers.1.pattern")
    found = blocks.activation_statistics(model, TOKENS, at=names)
    with torch.no_grad(), blocks.capture(model, *names) as got:
        model(TOKENS)
    known = blocks.hook_points(model)
    assert list(found) == sorted(got, key=known.index)
    for name, one in found.items():
        x = got[name]
        assert one.count == x.numel() and one.broken == 0
        assert one.mean == pytest.approx(float(x.mean()), abs=1e-6)
        assert one.std == pytest.approx(float(x.std(correction=0)), rel=1e-4)
        assert one.largest == pytest.approx(float(x.abs().max()), rel=1e-6)
        assert one.zeros == pytest.approx(float((x == 0).double().mean()))
        assert float(x[..., one.channel].abs().max()) == pytest.approx(one.largest, rel=1e-6)
    assert found["layers.1.pattern"].zeros == pytest.approx(0.4)  # what is not seen
    assert "LARGEST" in str(found) and found.to_json()["layers.1.heads"]["count"] == 80


def test_padding_counts_in_no_statistic(model: Any) -> None:
    mask = torch.tensor([[True] * 5, [False, False, True, True, True]])
    found = blocks.activation_statistics(model, TOKENS, at=("**.after", "**.heads"), mask=mask)
    assert {one.count for one in found.values()} == {8 * 8}
    assert blocks.activation_statistics(model, TOKENS)["layers.0.after"].count == 10 * 8


def test_broken_numbers_are_counted(model: Any) -> None:
    def breaks(x: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.arange(8) == 3, torch.inf, x)

    with blocks.patch(model, {"layers.0.out": breaks}):
        one = blocks.activation_statistics(model, TOKENS, at="layers.0.out")["layers.0.out"]
    assert (one.broken, one.count) == (10, 70) and one.largest < 100


def test_what_has_no_lens(model: Any) -> None:
    reads = blocks.replace(LAYER, inner=Spec(GQAttention, heads=2, mask=Full()))
    bare = blocks.Encoder(vocab=20, dim=8, layers=(reads,))
    with pytest.raises(BlocksError, match="no layers before scores of tokens"):
        blocks.logit_lens(bare, TOKENS)
    classes = Spec(blocks.SequenceHead, labels=3, pool="first")
    judge = blocks.Encoder(vocab=20, dim=8, layers=(reads,), head=classes)
    with pytest.raises(BlocksError, match="the head of this Encoder reads something else"):
        blocks.logit_lens(judge, TOKENS)
    for top in (0, 21, True):
        with pytest.raises(BlocksError, match="from 1 to the 20 tokens"):
            blocks.logit_lens(model, TOKENS, top=top)
    lens = blocks.logit_lens(model, TOKENS)
    with pytest.raises(BlocksError, match="the lens was not there"):
        lens.logits("layers.7.after")
    with pytest.raises(BlocksError, match=r"rows 0 … 1, not 2"):
        lens.table(row=2)
    with pytest.raises(BlocksError, match="none of the blocks there has pattern. Hint: there are"):
        mixer = Spec(blocks.Mamba)
        mamba = blocks.CausalLM(vocab=20, dim=8, layers=(mixer,), norm=RMSNorm)
        blocks.attention_maps(mamba, TOKENS)


def test_pictures(model: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need blocks[plot]")
    lens, maps = blocks.logit_lens(model, TOKENS), blocks.attention_maps(model, TOKENS)
    found = blocks.activation_statistics(model, TOKENS)
    draws = {
        "lens": lambda file: lens.plot(file, row=1, tokenizer=Letters()),
        "all": lambda file: maps.plot(file),
        "one": lambda file: maps.plot(file, name="layers.1.pattern", tokenizer=Letters()),
        "activity": lambda file: found.plot(file),
    }
    for name, draw in draws.items():
        first, again = tmp_path / f"{name}.svg", tmp_path / f"{name}2.svg"
        figure = draw(first)
        draw(again)
        assert first.read_bytes() == again.read_bytes() and len(first.read_bytes()) < 100_000
        assert figure.axes and draw(None) is not None
    text = (tmp_path / "lens.svg").read_text(encoding="utf-8")
    assert "layers.2.after" in text and "token read" in text
    lens.plot(tmp_path / "lens.png")
    assert (tmp_path / "lens.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(BlocksError, match="no map has this name"):
        maps.plot(name="layers.9.pattern")
    with pytest.raises(BlocksError, match="rows 0"):
        maps.plot(row=5)
    with pytest.raises(BlocksError, match="can't be written"):
        lens.plot(tmp_path / "nowhere" / "lens.svg")
    with pytest.raises(BlocksError, match="by its ending"):
        lens.plot(tmp_path / "lens.foo")


def test_no_statistic_without_numbers(model: Any) -> None:
    with pytest.raises(BlocksError, match="meta device"):
        blocks.activation_statistics(copy.deepcopy(model).to("meta"), TOKENS.to("meta"))


def test_no_picture_without_matplotlib(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        BlocksError, match=r'pictures need matplotlib. Hint: pip install "blocks\[plot\]"'
    ):
        blocks.logit_lens(model, TOKENS).plot()


@pytest.mark.slow
def test_the_pages_pictures_are_made_by_their_script(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need blocks[plot]")
    script = str(ROOT / "examples" / "inside.py")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, script, str(tmp_path)], check=True, env=env)
    page = (ROOT / "docs" / "inside.md").read_text(encoding="utf-8")
    for made in tmp_path.iterdir():
        assert f"({made.name})" in page and (ROOT / "docs" / made.name).exists()
    assert page.count("![") == len(list(tmp_path.iterdir()))
