"""Adapters of PEFT load here, those made here load in PEFT: the logits are the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import blocks
from blocks.models.places import addresses
from tests.surgery.adapting import BASES, drawn, near, of_peft, off, quiet

_EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
# base, what PEFT is told, and how many matrices of ours that is.
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "all linear": ("llama", {"target_modules": "all-linear"}, 14),
    "patterns": (
        "llama",
        {
            "target_modules": r".*layers\.\d+\.self_attn\.(q|v)_proj",
            "rank_pattern": {"layers.1.self_attn.q_proj": 5},
            "alpha_pattern": {r"layers\.0\..*q_proj": 7, "v_proj": 2},
            "use_rslora": True,
        },
        4,
    ),
    "some layers, whole head": (
        "tied",
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"], "layers_to_transform": [1]},
        1,
    ),
    "table and head": ("tied", {"target_modules": ["k_proj", "embed_tokens", "lm_head"]}, 4),
    "lengths and all biases": (
        "llama",
        {"target_modules": ["q_proj", "down_proj", "lm_head"], "use_dora": True, "bias": "all"},
        5,
    ),
    "turned and fused": (
        "gpt2",
        {"target_modules": ["c_attn", "c_proj", "wte"], "bias": "lora_only"},
        11,
    ),
    "turned and fused lengths": (
        "gpt2",
        {"target_modules": ["c_attn", "c_fc"], "use_dora": True, "fan_in_fan_out": True},
        8,
    ),
    "fused by slab": ("phi3", {"target_modules": ["qkv_proj", "gate_up_proj"]}, 10),
    "fused by head": ("gpt_neox", {"target_modules": ["query_key_value"], "use_dora": True}, 6),
    "fused by group": ("falcon", {"target_modules": ["query_key_value", "dense"]}, 8),
    "encoder": ("bert", {"target_modules": ["query", "dense"]}, 9),
    "classes": (
        "classes",
        {"task_type": "SEQ_CLS", "target_modules": ["query", "dense"], "bias": "all"},
        9,
    ),
    "layers that are one": ("albert", {"target_modules": ["query", "ffn"]}, 4),
    "two stacks": ("t5", {"target_modules": ["q", "v", "wo"]}, 16),
    "experts by old names": ("mixtral", {"target_modules": ["w1", "w2", "w3", "q_proj"]}, 20),
    "experts by tensor": (
        "mixtral",
        {"target_modules": ["q_proj"], "target_parameters": _EXPERTS},
        20,
    ),
    "turned, interleaved experts": (
        "gpt_oss",
        {"target_modules": ["q_proj"], "target_parameters": _EXPERTS},
        20,
    ),
    "fused with a gate": ("gated", {"target_modules": ["q_proj", "o_proj"]}, 3),
    "recurrence": ("mamba", {"target_modules": ["in_proj", "x_proj"]}, 4),
    "read by hand": ("deepseek", {"target_modules": ["q_b_proj", "kv_b_proj"]}, 4),
}
FAST = ("layers that are one", "patterns", "turned and fused lengths", "experts by tensor")


@pytest.mark.parametrize(
    "case", [c if c in FAST else pytest.param(c, marks=pytest.mark.slow) for c in CASES]
)
def test_adapters_go_to_and_fro(case: str, tmp_path: Path) -> None:
    kind, options, count = CASES[case]
    base = BASES[kind]
    reference = base.saved(tmp_path / "base")
    start = base.ask(reference)
    theirs = of_peft(reference, **options)
    with quiet():
        theirs.save_pretrained(tmp_path / "theirs")
    wanted = base.ask(theirs)
    model = blocks.from_pretrained(tmp_path / "base")
    bound = 1e-6 + 6 * off(base.ours(model), start)  # the reference's norms are in float32
    before = {address: tensor.clone() for address, tensor in addresses(model).items()}
    plain = base.ours(model)
    adapted = blocks.load_adapter(model, tmp_path / "theirs")
    near(base.ours(adapted), wanted, bound)
    assert (plain - wanted).abs().max() > 0.1 * wanted.std(), "this adapter shows nothing"
    assert sum(name.endswith(".b.weight") for name in blocks.trainable(adapted)) == count
    near(base.ours(blocks.merge_adapter(adapted)), base.ours(adapted), 1e-9)
    blocks.save_adapter(adapted, tmp_path / "ours")
    near(base.ask(base.loaded(tmp_path / "base", tmp_path / "ours")), wanted, 1e-9)
    near(base.ours(blocks.load_adapter(model, tmp_path / "ours")), base.ours(adapted), 1e-9)
    blocks.save_pretrained(adapted, tmp_path / "native")
    again = blocks.from_pretrained(tmp_path / "native")
    near(base.ours(again), base.ours(adapted), 1e-12)
    assert again.spec == adapted.spec
    assert list(blocks.trainable(again)) == list(blocks.trainable(adapted))
    assert all(torch.equal(t, before[a]) for a, t in addresses(model).items())


MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "two of three fused": ("gpt2", {"on": ("q", "v")}),
    "one expert": ("mixtral", {"on": ("experts.1.up", "experts.*.down", "head")}),
    "one layer": ("llama", {"on": ("layers.0.attention.q",), "train": ("norm", "embedding")}),
    "table": ("tied", {"on": ("embedding", "down")}),
    "lengths": ("phi3", {"on": ("q", "k", "v", "out"), "kind": "DoRA"}),
    "two stacks": ("t5", {"on": ("cross.q", "head")}),
}


@pytest.mark.parametrize(
    "case",
    [c if c == "two of three fused" else pytest.param(c, marks=pytest.mark.slow) for c in MADE],
)
def test_adapters_made_here_are_read_there(case: str, tmp_path: Path) -> None:
    kind, options = MADE[case]
    base = BASES[kind]
    start = base.ask(base.saved(tmp_path / "base"))
    model = blocks.from_pretrained(tmp_path / "base")
    bound = 1e-6 + 6 * off(base.ours(model), start)
    adapted = blocks.add_adapter(model, rank=2, alpha=3, **options)
    near(base.ours(adapted), base.ours(model), 1e-12)  # until they have learnt
    wanted = base.ours(drawn(adapted))
    assert (wanted - base.ours(model)).abs().max() > 0.05 * wanted.std()
    blocks.save_adapter(adapted, tmp_path / "ours", base="org/base")
    near(base.ask(base.loaded(tmp_path / "base", tmp_path / "ours")), wanted, bound)
    near(base.ours(blocks.load_adapter(model, tmp_path / "ours")), wanted, 1e-9)
    data = json.loads((tmp_path / "ours" / "adapter_config.json").read_text())
    assert data["base_model_name_or_path"] == "org/base" and data["peft_type"] == "LORA"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt2", "mixtral"])
def test_a_merged_model_is_one_of_the_reference(kind: str, tmp_path: Path) -> None:
    base = BASES[kind]
    base.saved(tmp_path / "base")
    adapted = drawn(blocks.add_adapter(blocks.from_pretrained(tmp_path / "base"), rank=2))
    with pytest.raises(blocks.CheckpointError, match="has adapters.*merge_adapter"):
        blocks.export(adapted, tmp_path / "merged")
    blocks.export(blocks.merge_adapter(adapted), tmp_path / "merged")
    near(base.ask(base.plain(tmp_path / "merged")), base.ours(adapted), 1e-5)


def test_lengths_learn_as_there(tmp_path: Path) -> None:
    """The gradient takes the norms as given, as the paper proposes."""
    base = BASES["llama"]
    theirs = of_peft(base.saved(tmp_path / "base"), target_modules=["q_proj"], use_dora=True)
    with quiet():
        theirs.save_pretrained(tmp_path / "theirs")
        tokens = torch.tensor([[5, 6, 7, 8]])
        theirs(input_ids=tokens, use_cache=False).logits.square().sum().backward()
    model = blocks.load_adapter(blocks.from_pretrained(tmp_path / "base"), tmp_path / "theirs")
    model(tokens).square().sum().backward()
    for ours, name in (("a.weight", "lora_A"), ("b.weight", "lora_B"), ("magnitude", "magnitude")):
        found = addresses(model)[f"layers.1.attention.q.{ours}"].grad
        wanted = next(p.grad for n, p in theirs.named_parameters() if "layers.1" in n and name in n)
        near(found, wanted, 1e-5)
    assert all(
        p.grad is None for n, p in addresses(model).items() if n not in blocks.trainable(model)
    )
