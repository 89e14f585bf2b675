"""explain says which way each block of an optimised model is computed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch

import blocks
from blocks import Spec
from blocks.ops import gpu, native
from blocks.speed.quick import Quick
from blocks.surgery.tree.parts import Part
from tests.speed.test_optimize import ATTENTION, KINDS, model

kernels = pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")


def paths(found: Any) -> dict[str, tuple[str, str]]:
    """(block, path) of every part by address."""

    def every(part: Part) -> dict[str, tuple[str, str]]:
        own = {part.address: (part.block, part.path)}
        return own | {a: p for inner in part.parts for a, p in every(inner).items()}

    return every(found.root)


def test_a_plain_model_has_no_paths() -> None:
    found = blocks.explain(model(ATTENTION))
    assert {path for _, path in paths(found).values()} == {""} and found.prepared == ()
    assert "PATH" not in str(found)


@kernels
def test_streamed_matrices() -> None:
    first = model(ATTENTION)
    found = blocks.explain(blocks.optimize(first, compile=False))
    told, before = paths(found), paths(blocks.explain(first))
    assert {a: block for a, (block, _) in told.items()} == {a: b for a, (b, _) in before.items()}
    assert told["layers.0.mlp.up"] == ("Linear", "streamed")
    assert told["head"] == ("LMHead", "streamed")
    assert told["layers.0.attention.norm_in"] == ("RMSNorm", "plain")
    assert told["layers.0.mlp"][1] == "" and told[""][1] == "taped step"
    assert "\nfew rows at a time are multiplied by the library's kernels\n" in str(found)
    data = json.loads(json.dumps(found.to_json()))
    assert data["prepared"] == list(found.prepared) and data["parts"][0]["path"] == "plain"


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_packed_matrices(kind: Any) -> None:
    quick = blocks.optimize(model(ATTENTION, head=blocks.Spec(blocks.LMHead, cap=5.0)),
                            quantize=kind, compile=False)  # fmt: skip
    told = paths(blocks.explain(quick))
    assert told["layers.0.mlp.down"] == ("PackedLinear", f"packed {kind}")
    assert told["head.matrix"] == ("PackedLinear", "packed int8")
    assert told["head"][0] == "LMHead" and " LMHead cap=5.0" in str(blocks.explain(quick))


@kernels
@pytest.mark.parametrize("kind", KINDS)
def test_a_step(kind: str) -> None:
    """Compiled when it is first called: here it is only put in."""
    quick: Any = blocks.optimize(model(KINDS[kind]), compile=False)
    quick.forward = Quick(quick)
    told, streamed = paths(blocks.explain(quick)), kind in ("plain", "window")
    assert told[""] == ("CausalLM", "taped step" if streamed else "compiled step")
    assert (told["layers.0.attention"][1] == "streamed") == streamed


def test_what_could_not_be_done_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "obstacle", lambda: "there is none")
    with pytest.warns(UserWarning, match="there is none"):
        quick = blocks.optimize(model(ATTENTION), compile=False)
    found = blocks.explain(quick)
    assert str(found).endswith("\nwithout the library's kernels, since there is none")
    assert paths(found)["layers.0.mlp.up"] == ("Linear", "plain")


def test_an_older_step_is_not_taken_over() -> None:
    first: Any = blocks.optimize(model(ATTENTION), compile=False)
    first.forward = Quick(first)
    second = blocks.optimize(first, compile=False)
    assert vars(second).get("forward") is None or second.forward.model is second
    with torch.no_grad():
        assert second(torch.tensor([[1, 2]])).shape == (1, 2, 50)


def test_a_copy_has_a_step_of_its_own() -> None:
    first: Any = blocks.optimize(model(ATTENTION), compile=False)
    first.forward = Quick(first)
    second = copy.deepcopy(first)
    assert second.forward is not first.forward and second.forward.model is second


@pytest.mark.parametrize(
    "kind",
    [
        blocks.Spec(blocks.RelativeAttention, heads=4, head_dim=16),
        blocks.Spec(blocks.Mamba, inner=128, state_dim=4, rank=64),
        blocks.Spec(
            blocks.LatentAttention, heads=4, kv_rank=64, nope_dim=16, rope_dim=16, value_dim=16
        ),
    ],
    ids=lambda kind: kind.func.__name__,
)
def test_other_mixers_cost_the_same_when_they_are_packed(kind: Any) -> None:
    """What a mixer reads by hand is not packed; and the work is the same."""
    first = model(kind)
    second = blocks.optimize(first, quantize="int8", compile=False)
    tokens = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        torch.testing.assert_close(second(tokens), first(tokens), rtol=0.1, atol=0.2)
    before, after = (blocks.explain(one).root for one in (first, second))
    assert (before.parameters, before.flops) == (after.parameters, after.flops)
    assert after.bytes_read < before.bytes_read


def on_gpu(monkeypatch: pytest.MonkeyPatch, layers: tuple[Any, ...]) -> dict[str, tuple[str, str]]:
    """The paths of a model in 16 bits, as if it were on a GPU."""
    monkeypatch.setattr(gpu, "on", lambda x: True)
    monkeypatch.setattr(gpu, "multiplies_groups", lambda x: True)
    made: Any = blocks.CausalLM(vocab=50, dim=64, layers=layers, norm=blocks.RMSNorm)
    made.prepared = ("a step of one token a row is compiled",)
    made.bfloat16().forward = Quick(made)
    return paths(blocks.explain(made))


def test_a_model_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    expert = Spec(blocks.GatedMLP, hidden=32)
    mixture = Spec(blocks.MoE, experts=4, top_k=2, expert=expert)
    others = [
        {"mask": blocks.Window(8)},
        {"sinks": True},
        {"scores": (Spec(blocks.SoftCap, cap=3.0), Spec(blocks.ALiBi))},
        {"head_dim": 8, "sinks": True},
        {"value_dim": 32},
    ]
    layers = [Spec(blocks.Chain, steps={"attention": ATTENTION, "mlp": mixture})]
    for options in others:
        attention = blocks.replace(ATTENTION, **options)
        layers.append(Spec(blocks.Chain, steps={"attention": attention, "mlp": expert}))
    told = on_gpu(monkeypatch, tuple(layers))
    found = [told[f"layers.{i}.attention"][1] for i in range(len(layers))]
    assert found == ["flash", "rules", "rules", "rules", "plain", ""]
    assert told[""][1] == "graph step" and told["layers.0.mlp"][1] == "grouped"
    assert told["layers.1.mlp.up"][1] == "plain"
