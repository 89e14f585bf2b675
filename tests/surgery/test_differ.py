"""diff: two models side by side, Specs, checkpoints and live ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import blocks
from blocks import (
    MLP,
    CausalLM,
    Chain,
    GatedMLP,
    GQAttention,
    LatentAttention,
    QKNorm,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    SpecError,
    Window,
    diff,
    replace,
    rewrite,
)
from tests.surgery.differences import told

TIED = (("head.weight", "embedding.weight"),)


def layer(attention: Any = None, mlp: Any = None) -> Any:
    attention = attention or Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(RoPE),))
    steps = {
        "attention": Spec(Residual, inner=attention, norm_in=RMSNorm),
        "mlp": Spec(Residual, inner=mlp or Spec(GatedMLP, hidden=24), norm_in=RMSNorm),
    }
    return Spec(Chain, steps=steps)


def stack(*layers: Any, **options: Any) -> Any:
    return Spec(CausalLM, **{"vocab": 50, "dim": 16, "layers": layers, "norm": RMSNorm} | options)


def test_a_block_in_place_of_another() -> None:
    latent = {"heads": 4, "kv_rank": 6, "nope_dim": 4, "rope_dim": 4, "value_dim": 4}
    other = layer(Spec(LatentAttention, **latent, qk=(Spec(RoPE),)), Spec(MLP, hidden=32))
    found = told(diff(stack(*[layer()] * 3), stack(*[other] * 3)))
    assert found == {
        ("layers.0-2.attention", "block"): (
            "Residual(GQAttention(heads=4, kv_heads=2))",
            "Residual(LatentAttention(heads=4, kv_rank=6, nope_dim=4, rope_dim=4, value_dim=4, "
            "norm=RMSNorm))",
        ),
        ("layers.0-2.mlp", "block"): (
            "Residual(GatedMLP(hidden=24))",
            "Residual(MLP(hidden=32))",
        ),
    }


def test_layers_of_other_kinds_and_more_of_them() -> None:
    near = layer(Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(RoPE),), mask=Window(4)))
    found = diff(stack(*[layer()] * 4), stack(near, layer(), near, layer(), near, layer()))
    assert told(found) == {
        ("", "layers"): (4, 6),
        ("layers.0,2.attention", "mask"): ("Causal()", "Window(size=4)"),
    }
    # What is new among those that one side has alone is told.
    found = diff(stack(*[layer()] * 2), stack(*[layer()] * 2, near))
    assert [(part, what) for part, what in told(found)] == [("layers.2", "part")]


def test_parts_of_a_slot_are_aligned_by_what_they_are() -> None:
    normed = (Spec(QKNorm, norm=RMSNorm), Spec(RoPE, theta=5.0))
    other = layer(Spec(GQAttention, heads=4, kv_heads=2, qk=normed))
    assert told(diff(stack(layer()), stack(other))) == {
        ("layers.0.attention.qk.0", "part"): (None, "QKNorm(norm=RMSNorm)"),
        ("layers.0.attention.qk.0 → qk.1", "theta"): (10000.0, 5.0),
    }


def test_what_is_left_open_is_what_the_block_makes_of_it() -> None:
    one = Spec(GQAttention, heads=4, head_dim=4, scale=0.5)
    assert diff(stack(layer(one)), stack(layer(Spec(GQAttention, heads=4)))).equal


def test_what_is_shared() -> None:
    found = diff(stack(layer()), stack(layer(), ties=TIED))
    assert told(found) == {("", "shared"): (None, "head.weight = embedding.weight")}
    assert found.a.parameters - found.b.parameters == 50 * 16
    one = stack(*[layer()] * 4, ties=tuple((f"layers.{i}", "layers.0") for i in (1, 2, 3)))
    assert diff(one, one).a.shared == ("layers.1-3 = layers.0",)


def test_live_models_compare_their_weights() -> None:
    torch.manual_seed(0)
    a = stack(layer(), ties=TIED)()
    b = stack(layer(), ties=TIED)()
    b.load_state_dict(a.state_dict())
    same = diff(a, b)
    assert same.equal and same.weights is not None
    assert same.weights.compared == len(list(a.parameters()))
    assert "equal" in str(same)
    with torch.no_grad():
        b.layers[0].mlp.inner.up.weight[3, 2] += 0.5
        b.embedding.weight[1] += 0.25
    found = diff(a, b)
    assert not found.equal and not found.changes
    weights = found.weights
    assert weights is not None
    assert (weights.unequal, weights.where) == (2, "layers.0.mlp.up.weight")
    assert weights.largest == pytest.approx(0.5)
    assert "2 of" in str(found) and "layers.0.mlp.up.weight" in str(found)


@pytest.mark.parametrize(
    ("one", "other", "gap"),
    [(torch.nan, torch.nan, 0), (torch.nan, 1.0, torch.inf), (torch.inf, torch.inf, 0)],
)
def test_what_is_no_number(one: float, other: float, gap: float) -> None:
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.load_state_dict(a.state_dict())
    with torch.no_grad():
        a.weight[0, 0], b.weight[0, 0] = one, other
    weights = diff(a, b).weights
    assert weights is not None and weights.largest == gap


def test_other_dtypes_are_other_models() -> None:
    a, b = stack(layer())(), stack(layer())().to(torch.bfloat16)
    b.load_state_dict(a.state_dict())
    a.load_state_dict(b.state_dict())  # what bfloat16 can hold
    found = diff(a, b)
    assert found.weights is not None and found.weights.unequal == 0
    assert (found.a.dtype, found.b.dtype, found.equal) == ("float32", "bfloat16", False)
    assert diff(stack(layer()), b).equal  # a Spec has none


def test_a_model_that_was_changed_by_hand() -> None:
    model = stack(*[layer()] * 2)()
    model.layers[1].mlp.inner.up = nn.Linear(16, 8, bias=False)
    found = told(diff(stack(*[layer()] * 2), model))
    assert found == {("layers.1.mlp.up", "shape of weight"): ("24×16", "8×16")}


def test_checkpoints_of_other_shards(tmp_path: Path) -> None:
    model = stack(*[layer()] * 2, ties=TIED)()
    blocks.save_pretrained(model, tmp_path / "one")
    blocks.save_pretrained(model, tmp_path / "many", max_shard_size=4_000)
    found = diff(tmp_path / "one", tmp_path / "many")
    assert found.equal
    assert (found.a.files, found.b.files) == (1, len(list((tmp_path / "many").glob("*-of-*"))))
    assert found.b.files is not None and found.b.files > 1
    blocks.save_pretrained(model.to(torch.bfloat16), tmp_path / "small")
    found = diff(tmp_path / "one", tmp_path / "small")
    assert not found.equal and not found.changes
    assert found.a.nbytes == 2 * (found.b.nbytes or 0)
    assert diff(tmp_path / "small", model).equal
    assert diff(blocks.inspect(tmp_path / "small"), tmp_path / "small").equal


def test_both_trees_side_by_side() -> None:
    a = stack(*[layer()] * 2)
    b = rewrite(a, GatedMLP, lambda mlp: replace(mlp, hidden=32))
    found = diff(a, b)
    lines = found.side_by_side().splitlines()
    place = lines[0].rindex("name:")
    marks = {line[place - 2] for line in lines if len(line) > place}
    assert marks == {" ", "|"}
    assert any("mlp  Residual(GatedMLP(hidden=32))" in line for line in lines)
    assert max(map(len, found.side_by_side(60).splitlines())) <= 60
    with pytest.raises(SpecError, match="width"):
        found.side_by_side(5)


def test_json_holds_everything() -> None:
    found = diff(stack(layer()), stack(layer(), vocab=60))
    data = json.loads(json.dumps(found.to_json()))
    assert data["equal"] is False
    assert data["a"]["parameters"] == found.a.parameters
    change = data["changes"][0]
    assert (change["what"], change["a"], change["b"], change["follows"]) == ("vocab", 50, 60, False)
    assert all(c["follows"] for c in data["changes"][1:])


@pytest.mark.parametrize("wrong", [7, Spec(GatedMLP, hidden=4)])
def test_what_is_no_model(wrong: Any) -> None:
    with pytest.raises(SpecError):
        diff(stack(layer()), wrong)
