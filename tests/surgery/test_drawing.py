"""Drawings: every family's picture holds together and says what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from index import ROOT
from torch import nn

import blocks
from blocks import (
    MLP,
    BlocksError,
    CausalLM,
    Chain,
    CrossAttention,
    EncoderDecoder,
    Factored,
    Full,
    GatedMLP,
    GQAttention,
    LayerStack,
    Load,
    LoRA,
    Mamba,
    MoE,
    Parallel,
    Residual,
    RMSNorm,
    Save,
    Spec,
    SpecError,
    Window,
    draw,
    explain,
)
from blocks.cli.main import main
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.families.reference import case_of, families, first, named
from tests.surgery.geometry import Picture

LARGE = 6e10  # parameters of a model that takes seconds to tell


def size_of(family: str, repo: str) -> int:
    return case_of(family).published[repo][1]


MIXED = Spec(MoE, experts=16, top_k=2, expert=Spec(GatedMLP, hidden=8))


PUBLISHED = [pair for pair in named("published") if size_of(*pair) < LARGE]


def mixer(inner: Any, **norms: Any) -> Any:
    return Spec(Residual, inner=inner, **norms or {"norm_in": RMSNorm})


def attention(**options: Any) -> Any:
    return Spec(GQAttention, heads=4, kv_heads=2, **options)


def layer(*parts: Any) -> Any:
    return Spec(Chain, steps={f"part{i}": part for i, part in enumerate(parts)})


DENSE = layer(mixer(attention()), mixer(Spec(GatedMLP, hidden=24)))


def stack(*layers: Any, **options: Any) -> Any:
    return Spec(CausalLM, vocab=50, dim=16, layers=layers, norm=RMSNorm, **options)


def drawn(spec: Any) -> tuple[str, Picture]:
    svg = draw(spec)
    picture = Picture(svg)
    assert not list(picture.faults())
    return svg, picture


def texts(svg: str) -> list[str]:
    return [words.text for words in Picture(svg).words]


def check(spec: Any) -> None:
    """A picture that holds together and shows every kind of block."""
    svg, picture = drawn(spec)
    said = " ".join(texts(svg))
    kinds = {part.func.__name__ for _, part in blocks.walk(spec)}
    wiring = {"Chain", "Residual", "Normed", "Parallel", "LowRank", spec.func.__name__}
    stacks = {"LayerStack"}  # a half of a pair has no box of its own
    missing = {kind for kind in kinds - wiring - stacks - picture.blocks if kind not in said}
    assert not missing


def small(family: str) -> Any:
    case, name = case_of(family), first(family)
    variant = case.variants[name]
    data = case.config(**case.options(variant)).to_dict()
    data = {k: str(v)[6:] if isinstance(v, torch.dtype) else v for k, v in data.items()}
    model = variant.model or case.model
    return outline_of(Config(data | {"architectures": [model.__name__]})).spec


@pytest.mark.parametrize("family", families())
def test_every_family_is_drawn(family: str) -> None:
    check(small(family))


@pytest.mark.slow
@pytest.mark.parametrize(("family", "repo"), PUBLISHED)
def test_every_published_model_is_drawn(family: str, repo: str) -> None:
    check(outline_of(Config(dict(case_of(family).published[repo][0]))).spec)


def test_equal_layers_are_drawn_once() -> None:
    svg, picture = drawn(stack(*[DENSE] * 12))
    assert "× 12" in texts(svg)
    assert sum(box.block == "GQAttention" for box in picture.boxes) == 1


def test_a_hybrid_shows_its_period_and_each_kind_once() -> None:
    other = layer(mixer(Spec(Mamba)), mixer(MIXED))
    svg, picture = drawn(stack(*[DENSE, other, other] * 4))
    said = texts(svg)
    assert [text for text in said if re.fullmatch(r"\d+, \d+ … \d+", text)] == [
        "0, 3 … 9",
        "1, 4 … 10",
        "2, 5 … 11",
    ]
    assert said.count("B") == 3  # two strips, and their drawing
    assert {"× 4", "12 layers"} <= set(said)
    assert sum(box.block == "Mamba" for box in picture.boxes) == 1


def test_norms_are_where_they_act() -> None:
    sandwich = mixer(Spec(MLP, hidden=8), norm_in=RMSNorm, norm_out=RMSNorm, norm_after=RMSNorm)
    _, picture = drawn(stack(sandwich))
    boxes = [box for box in picture.boxes if box.block in ("MLP", "RMSNorm")]
    from_the_foot = sorted(boxes, key=lambda box: -box.area[1])
    kinds = [box.block for box in from_the_foot]
    assert kinds == ["RMSNorm", "MLP", "RMSNorm", "RMSNorm", "RMSNorm"]
    middle = [box.area[0] + box.area[2] / 2 for box in from_the_foot]
    branch, stream = middle[:3], middle[3:]
    assert len(set(branch)) == len(set(stream)) == 1
    assert branch[0] > stream[0]


def test_branches_stand_beside_each_other() -> None:
    both = {"attention": attention(), "mlp": Spec(MLP, hidden=8)}
    _, picture = drawn(stack(mixer(Spec(Parallel, branches=both))))
    one, other = (b.area for b in picture.boxes if b.block in ("GQAttention", "MLP"))
    assert one[0] + one[2] < other[0]
    assert one[1] < other[1] + other[3]
    assert other[1] < one[1] + one[3]


def test_masks_experts_and_taps_are_told() -> None:
    tapped = layer(
        Spec(Save, name="skip"),
        mixer(attention(mask=Window(64))),
        mixer(Spec(Load, name="skip", merge="sum", inner=MIXED)),
    )
    said = texts(draw(stack(tapped)))
    wanted = {"causal, window 64", "16 experts, 2 a token", "save: skip", "load: skip", "16"}
    assert wanted <= set(said)
    assert "4 heads, 2 kv heads × 4" in said


def test_wrapped_weights_are_told() -> None:
    low = Spec(LoRA, inner=attention(), on=("q", "v"), rank=4)
    factored = Spec(Factored, inner=Spec(GatedMLP, hidden=24), rank={"up": 3})
    said = texts(draw(stack(layer(mixer(low), mixer(factored)))))
    assert {"LoRA rank 4 on q, v", "Factored on up", "GQAttention", "GatedMLP"} <= set(said)


def test_a_decoder_reads_its_encoder_by_a_line() -> None:
    reads = layer(mixer(Spec(GQAttention, heads=4, mask=Full())))
    writes = layer(mixer(attention()), mixer(Spec(CrossAttention, heads=4)))
    halves = {"encoder": (reads,), "decoder": (writes,)}
    stacks = {half: Spec(LayerStack, layers=layers) for half, layers in halves.items()}
    svg, picture = drawn(Spec(EncoderDecoder, vocab=50, dim=16, **stacks))
    cross = next(box.area for box in picture.boxes if box.block == "CrossAttention")
    ends = re.findall(r"L([\d.]+) ([\d.]+)\"", svg)
    assert (cross[0], cross[1] + cross[3] / 2) in {(float(x), float(y)) for x, y in ends}
    assert "memory [B S 16]" in texts(svg)


def test_the_same_model_is_the_same_picture(tmp_path: Path) -> None:
    spec = stack(DENSE, DENSE, ties=(("head.weight", "embedding.weight"),))
    model = spec()
    assert draw(spec) == draw(model) == draw(explain(model)) == explain(spec).to_svg()
    blocks.save_pretrained(model, tmp_path / "saved")
    title = "mine"
    assert draw(tmp_path / "saved", title=title) == draw(spec, title=title)
    assert "tied" in texts(draw(spec))


def test_a_changed_model_shows_what_is_there_now() -> None:
    model = stack(DENSE)()
    model.layers[0].part1.inner = MLP(16, hidden=4)
    said = texts(draw(model))
    assert "GatedMLP" not in said
    assert any("MLP" in text for text in said)


def test_what_has_no_spec_is_boxes_in_boxes() -> None:
    model = nn.Sequential(GQAttention(16, heads=4), nn.Linear(16, 4))
    svg, picture = drawn(model)
    assert "weight 4 × 16" in texts(svg)
    assert {"Sequential", "GQAttention", "Linear"} <= picture.blocks


def test_names_from_a_config_are_no_markup() -> None:
    spec = stack(layer(Spec(Save, name="</svg><script>&")))
    svg, _ = drawn(spec)
    assert "<script" not in svg
    assert "<script" not in explain(spec).to_html()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_one_theme_needs_no_style_sheet(theme: Any) -> None:
    svg = draw(stack(DENSE), theme=theme)
    assert "<style" not in svg
    assert "class=" not in svg.replace('class="box"', "")
    assert svg != draw(stack(DENSE))


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "model.html"
    svg = draw(stack(*[DENSE] * 3), file)
    text = file.read_text(encoding="utf-8")
    assert svg in text
    assert not re.search(r"(src|href|url)\s*[=(]", text)
    assert text.count("<details") == text.count("</details>") == 4  # all, layers, and two blocks
    assert "layers.0-2" in text
    assert explain(stack(DENSE))._repr_html_().startswith('<div class="blocks">')


def test_the_command_writes_both_without_torch(tmp_path: Path) -> None:
    svg, html = tmp_path / "a.svg", tmp_path / "a.html"
    done = CliRunner().invoke(main, ["explain", "packaged", "--svg", str(svg), "--html", str(html)])
    assert done.exit_code == 0, done.output
    assert svg.read_text(encoding="utf-8") == draw(blocks.packaged())
    assert svg.read_text(encoding="utf-8") in html.read_text(encoding="utf-8")


def test_what_cant_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="neither"):
        draw(stack(DENSE), tmp_path / "a.png")
    with pytest.raises(SpecError, match="light or dark"):
        draw(stack(DENSE), theme="sepia")  # pyright: ignore[reportArgumentType]  # that's the test
    with pytest.raises(BlocksError, match="can't be written"):
        draw(stack(DENSE), tmp_path / "no" / "a.svg")
    with pytest.raises(SpecError, match="is no Spec"):
        draw(7)


def test_the_picture_in_the_docs_is_what_its_example_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "drawing.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "drawing.md", "exec"), {})
    made = (tmp_path / "hybrid.svg").read_text(encoding="utf-8")
    assert made == (ROOT / "docs" / "drawing-hybrid.svg").read_text(encoding="utf-8")
    assert not list(Picture(made).faults())


def test_kinds_that_look_alike_are_drawn_once() -> None:
    other = blocks.rewrite(DENSE, RMSNorm, lambda old: blocks.replace(old, eps=0.1))
    svg, picture = drawn(stack(DENSE, DENSE, other))
    assert sum(box.block == "GQAttention" for box in picture.boxes) == 1
    assert "2, other eps" in texts(svg)
    for option in ({"hidden": 32}, {"act": "gelu"}):
        wider = blocks.rewrite(DENSE, GatedMLP, lambda old, o=option: blocks.replace(old, **o))
        assert {"A", "B"} <= set(texts(draw(stack(DENSE, wider))))
