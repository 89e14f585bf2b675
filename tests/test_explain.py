"""explain: totals that agree with torch, layers folded, shared tensors counted once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import blocks
from blocks import (
    MLP,
    CausalLM,
    Chain,
    CrossAttention,
    Encoder,
    EncoderDecoder,
    Full,
    GatedMLP,
    GQAttention,
    LayerStack,
    MoE,
    QKNorm,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    SpecError,
    Window,
    explain,
    replace,
)
from blocks.surgery.tree.parts import Part
from tests.clock import within
from tests.families.reference import LARGE, case_of, named, weighed

HUB = Path(__file__).parents[1].parent / "shared" / "data" / "hub"
TIED = (("head.weight", "embedding.weight"),)


def layer(mlp: Any = None, **options: Any) -> Any:
    attention = Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(RoPE, theta=1e3),), **options)
    steps = {
        "attention": Spec(Residual, inner=attention, norm_in=Spec(RMSNorm, eps=1e-5)),
        "mlp": Spec(Residual, inner=mlp or Spec(GatedMLP, hidden=24), norm_in=RMSNorm),
    }
    return Spec(Chain, steps=steps)


def stack(*layers: Any, **options: Any) -> Any:
    return Spec(CausalLM, vocab=50, dim=16, layers=layers, norm=RMSNorm, **options)


def parts(part: Part) -> dict[str, Part]:
    """Every printed part by name from the root."""
    found = {}
    for inner in part.parts:
        found[inner.name] = inner
        found |= {f"{inner.name}/{name}": below for name, below in parts(inner).items()}
    return found


def values(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_totals_are_those_of_torch() -> None:
    spec = stack(*[layer()] * 3)
    model = spec()
    found = explain(spec)
    assert found.parameters == explain(model).parameters == values(model)
    assert found.nbytes == 4 * found.parameters
    assert explain(model.to(torch.float64)).nbytes == 8 * found.parameters
    assert str(explain(model.float())) == str(found)


def test_a_part_says_what_it_is() -> None:
    found = parts(explain(stack(layer())).root)
    attention = found["layers.0/attention"]
    assert attention.block == "Residual(GQAttention)"
    assert attention.options == {"heads": "4", "kv_heads": "2"}
    assert attention.address == "layers.0.attention"
    assert found["layers.0/attention/k"].shapes == {"weight": (8, 16)}
    assert found["layers.0/attention/qk.0"].options == {"theta": "1000.0"}
    assert found["layers.0/attention/norm_in"].options == {"eps": "1e-05"}
    assert found["layers.0/mlp/norm_in"].options == {}
    assert "layers.0/mlp/drop" not in found  # neither numbers nor a Spec of its own


def test_what_is_tied_counts_once_and_is_said() -> None:
    found = explain(stack(layer(), ties=TIED))
    head = parts(found.root)["head"]
    assert (head.parameters, head.tied) == (0, {"weight": "embedding.weight"})
    assert found.parameters == values(stack(layer(), ties=TIED)())
    assert found.parameters == explain(stack(layer())).parameters - 50 * 16
    assert "LMHead (weight is embedding.weight)" in str(found)


def test_shared_layers_count_once() -> None:
    spec = stack(*[layer()] * 4, ties=tuple((f"layers.{i}", "layers.0") for i in (1, 2, 3)))
    found = explain(spec)
    assert found.parameters == values(spec())
    folded = parts(found.root)["layers.1-3"]
    assert (folded.times, folded.parameters) == (3, 0)


def test_equal_neighbours_are_folded() -> None:
    other = layer(mask=Window(4))
    names = [part.name for part in explain(stack(*[layer()] * 3, other, layer())).root.parts]
    assert names == ["embedding", "layers.0-2", "layers.3", "layers.4", "norm", "head"]
    found = parts(explain(stack(*[layer()] * 3)).root)["layers.0-2"]
    assert (found.times, found.parameters) == (3, explain(layer()(16)).parameters)
    assert f"3 × {found.parameters:,}" in str(explain(stack(*[layer()] * 3)))


def test_kinds_that_take_turns_are_folded() -> None:
    turns = [layer(mask=Window(4)), layer(mask=Window(4)), layer()] * 3
    found = explain(stack(*turns)).root.parts
    assert [p.name for p in found[1:4]] == ["layers.0,3…6", "layers.1,4…7", "layers.2,5…8"]
    assert [p.times for p in found[1:4]] == [3, 3, 3]


def test_experts_are_folded() -> None:
    moe = Spec(MoE, experts=8, top_k=2, expert=Spec(GatedMLP, hidden=8))
    spec = stack(*[layer(moe)] * 2)
    found = explain(spec)
    assert parts(found.root)["layers.0-1/mlp/experts.0-7"].times == 8
    assert found.parameters == values(spec())


def test_state_of_a_token() -> None:
    found = explain(stack(*[layer()] * 3)).root
    model = stack(*[layer()] * 3)()
    grown = model.init_state(1, 11).nbytes - model.init_state(1, 10).nbytes
    assert (found.state_per_token, found.state_fixed) == (grown, 0)
    assert parts(found)["layers.0-2"].state_per_token == grown // 3
    assert explain(model.to(torch.bfloat16)).root.state_per_token == grown // 2


def test_a_window_remembers_no_more_than_itself() -> None:
    spec = stack(layer(mask=Window(4)), layer())
    found = explain(spec).root
    ring = stack(layer(mask=Window(4)))().init_state(1, 100).nbytes
    assert (found.state_fixed, found.state_per_token) == (ring, ring // 4)
    assert f"{ring} B fixed" in str(explain(spec))


def test_an_encoder_remembers_nothing() -> None:
    seen = Spec(Chain, steps={"attention": Spec(GQAttention, heads=4, mask=Full())})
    encoder = Spec(Encoder, vocab=50, dim=16, layers=(seen,) * 2)
    assert not any(part.state_per_token for part in parts(explain(encoder).root).values())
    steps = {"attention": Spec(GQAttention, heads=4), "cross": Spec(CrossAttention, heads=4)}
    halves = {"encoder": (seen,) * 2, "decoder": (Spec(Chain, steps=steps),) * 3}
    stacks = {half: Spec(LayerStack, layers=layers) for half, layers in halves.items()}
    pair = Spec(EncoderDecoder, vocab=50, dim=16, **stacks)
    model, found = pair(), explain(pair).root
    grown = model.init_state(1, 11).nbytes - model.init_state(1, 10).nbytes
    assert found.state_per_token == parts(found)["decoder"].state_per_token == grown > 0
    assert parts(found)["encoder"].state_per_token == 0
    assert parts(found)["encoder/layers.0-1"].state_per_token == 0


def test_depth_is_what_is_printed() -> None:
    spec = stack(*[layer()] * 2)
    lines = [len(str(explain(spec, depth=depth)).splitlines()) for depth in (0, 1, 2, None)]
    assert lines[0] == 2
    assert lines == sorted(set(lines))
    assert explain(spec, depth=0).parameters == explain(spec).parameters
    with pytest.raises(SpecError, match="depth"):
        explain(spec, depth=-1)


def test_a_block_alone_and_a_module_of_ones_own() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = MLP(8, hidden=4)
            self.register_buffer("table", torch.ones(5))
            self.register_buffer("scratch", torch.ones(7), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    found = explain(Mine())
    assert found.parameters == values(Mine())
    assert found.nbytes == 4 * (found.parameters + 5)
    assert found.root.shapes == {"table": (5,)}
    attention = explain(GQAttention(16, heads=4, qk=(Spec(QKNorm, norm=RMSNorm),)))
    assert parts(attention.root)["qk.0/q"].parameters == 4


def test_a_changed_model_shows_what_is_there_now() -> None:
    model = stack(layer())()
    model.layers[0].mlp.inner = MLP(16, hidden=4)
    found = parts(explain(model).root)["layers.0/mlp"]
    assert (found.block, found.options) == ("Residual(MLP)", {})


def test_json_holds_every_level() -> None:
    data = json.loads(json.dumps(explain(stack(layer()), depth=0).to_json()))
    assert data["parts"][1]["parts"][0]["block"] == "Residual(GQAttention)"
    assert data["parameters"] == sum(p["parameters"] * p["times"] for p in data["parts"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Spec(GatedMLP, hidden=4), "still needs dim"),
        (Spec(RoPE), "still needs head_dim, heads, kv_heads"),
        (7, "int is no Spec"),
    ],
)
def test_what_is_no_model(wrong: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        explain(wrong)


def test_a_checkpoint_a_report_and_a_live_model_agree(tmp_path: Path) -> None:
    model = stack(*[layer()] * 2, ties=TIED)().to(torch.bfloat16)
    blocks.save_pretrained(model, tmp_path / "saved")
    found = str(explain(tmp_path / "saved"))
    assert found == str(explain(blocks.inspect(tmp_path / "saved"))) == str(explain(model))


@pytest.mark.parametrize(("family", "repo"), weighed())
def test_published_sizes(family: str, repo: str) -> None:
    from blocks.hub.config import Config
    from blocks.hub.outline import outline_of
    from blocks.models.places import spread

    data, parameters = case_of(family).published[repo]
    outline = outline_of(Config(dict(data)))
    tied = data.get("tie_word_embeddings", case_of(family).tied)
    with torch.device("meta"):
        there = blocks.addresses(outline.build())
    ties = [tie for tie in outline.ties if spread(tie, there)]
    ties = [tie for tie in ties if tie[0] in there or tie[1] not in there]
    ties = [tie for tie in ties if tied or not tie[0].startswith("head.")]
    spec = replace(outline.spec, ties=tuple(ties))
    explain(stack(layer()))  # the first tensor on meta costs torch a second of imports
    assert explain(spec).parameters == parameters
    assert parameters > LARGE or within(3, lambda: explain(spec))


@pytest.mark.parametrize(("family", "folder"), named("real"))
def test_published_indexes(family: str, folder: str) -> None:
    if not (HUB / folder).is_dir():
        pytest.skip(f"the published files of {folder} are not beside the repository")
    report = blocks.inspect(HUB / folder)
    found = explain(report)
    assert (found.parameters, found.nbytes) == (report.parameters, report.nbytes)
    assert any(part.times > 15 for part in found.root.parts)  # equal layers are folded
