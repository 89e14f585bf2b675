"""What `explain` says a token costs: FLOPs as torch's own counter finds them, and bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from blocks import (
    CausalConv,
    CausalLM,
    Chain,
    GatedDeltaNet,
    GatedMLP,
    GQAttention,
    LatentAttention,
    LinearAttention,
    Mamba,
    Mamba2,
    MoE,
    PackedLinear,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    State,
    Window,
    explain,
)
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from blocks.surgery.tree.parts import Tree
from blocks.surgery.tree.work import IDLE, own_flops, share
from tests.families.reference import case_of, families, first

TOKENS = 2  # no more than any window of the cases holds
# Families of which explain leaves the work open, and why.
UNSAID = {
    "blt": "its patches are as long as it makes them by what it reads",
    "canine": "it shortens a text of letters",
    "fuyu": "its patches of pictures are other tokens than its text",
    "parakeet_ctc": "it shortens a sound",
    "reformer": "its hashes choose what a token sees",
    "wav2vec2": "it shortens a sound",
    "wav2vec2-conformer": "it shortens a sound",
}
SCANS = (Mamba, Mamba2, GatedDeltaNet, LinearAttention, CausalConv)


def counted(module: nn.Module, tokens: int, seen: int) -> int:
    """The sum over a tree by the formulas of the library; every expert runs, as on meta."""
    own = own_flops(module, tokens, seen)
    assert own is not None, f"nothing is told of a {type(module).__name__}"
    parts = [part for name, part in module.named_children() if share([module], name)[0]]
    return own + sum(counted(part, tokens, seen) for part in parts)


def torchs(module: nn.Module, *inputs: Any, **options: Any) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(*inputs, **options)
    return counter.get_total_flops()


def untold(model: nn.Module) -> bool:
    return Tree(model, {}, {}, None, TOKENS).root().flops is None


def made(family: str) -> tuple[nn.Module, Tensor]:
    """The tiny model of a family on meta, and tokens for it."""
    case = case_of(family)
    variant = case.variants[first(family)]
    data = case.config(**case.options(variant)).to_dict()
    data["architectures"] = [(variant.model or case.model).__name__]
    with torch.device("meta"):
        model = outline_of(Config(data)).build().eval()
    source = variant.reads(case.source(1, torch.Generator().manual_seed(2)))
    return model, source[:, :TOKENS].to("meta")


@pytest.mark.parametrize("family", families("decoder", "encoder", "hearer"))
def test_a_family_costs_what_torch_counts(family: str) -> None:
    model, tokens = made(family)
    assert untold(model) == (family in UNSAID), UNSAID.get(family, "its blocks must say it")
    if family in UNSAID:
        return
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(tokens)
    ours, theirs = scans(model, counter.get_flop_counts())
    assert counted(model, TOKENS, TOKENS) - ours == counter.get_total_flops() - theirs


def scans(model: nn.Module, found: dict[str, dict[Any, int]]) -> tuple[int, int]:
    """What recurrences cost by the library's formulas, and what torch sees of how they are run."""
    total = {name: sum(work.values()) for name, work in found.items()}
    ours = theirs = 0
    for name, block in model.named_modules():
        if isinstance(block, SCANS):
            place = f"{type(model).__name__}.{name}"
            ours += own_flops(block, TOKENS, TOKENS) or 0
            theirs += total.get(place, 0)
            for part, _ in block.named_children():
                theirs -= total.get(f"{place}.{part}", 0)
            if isinstance(block, Mamba):  # which reads a matrix of its part without a call
                theirs -= counted(block.dt, TOKENS, TOKENS)
    return ours, theirs


@pytest.mark.parametrize("family", families("pair"))
def test_a_pair_costs_what_torch_counts(family: str) -> None:
    model, tokens = made(family)
    source = sum(idle(model))
    assert counted(model, TOKENS, TOKENS) + source * TOKENS == torchs(model, tokens, tokens)


def idle(module: nn.Module) -> Iterator[int]:
    """What is run on the source alone, a token of it."""
    for part in module.modules():
        if type(part).__name__ == "CrossAttention":
            named = dict(part.named_children())
            yield from (counted(named[n], 1, 1) for n in IDLE["CrossAttention"] if n in named)


LAYER = {
    "attention": Spec(Residual, inner=Spec(GQAttention, heads=4, kv_heads=2), norm_in=RMSNorm),
    "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=24), norm_in=RMSNorm),
}


def stack(steps: Any = LAYER, **options: Any) -> CausalLM:
    layer = Spec(Chain, steps={**LAYER, **steps})
    return CausalLM(vocab=50, dim=16, layers=(layer,) * 2, norm=RMSNorm, **options).eval()


def step_costs(model: CausalLM, context: int) -> int:
    """What torch counts of one new token that sees so many."""
    state = model.init_state(1, context)
    with torch.no_grad():
        model(torch.zeros(1, context - 1, dtype=torch.long), state=state)
    return torchs(model, torch.zeros(1, 1, dtype=torch.long), state=state)


@pytest.mark.parametrize("window", [None, 5])
def test_a_step_costs_what_torch_counts(window: int | None) -> None:
    more = {} if window is None else {"mask": Window(window)}
    # Torch's counter doesn't know the fused attention of a processor; a sink has it written out.
    attention = Spec(GQAttention, heads=4, kv_heads=2, sinks=True, **more)
    model = stack({"attention": Spec(Residual, inner=attention)})
    assert explain(model, context=9).root.flops == step_costs(model, 9)


def test_a_latent_step_costs_what_torch_counts() -> None:
    sizes = {"heads": 4, "kv_rank": 6, "nope_dim": 5, "rope_dim": 4, "value_dim": 3}
    latent = LatentAttention(16, **sizes, qk=(Spec(RoPE),)).eval()
    state = State.of(latent, 1)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        state.run(latent, torch.randn(1, 1, 16))
    assert explain(latent, context=1).root.flops == counter.get_total_flops()


def test_experts_cost_as_often_as_they_are_chosen() -> None:
    moe = MoE(16, experts=8, top_k=3, expert=Spec(GatedMLP, hidden=24))
    assert explain(moe).root.flops == torchs(moe, torch.randn(1, 1, 16))
    weights = explain(moe.experts[0]).nbytes
    assert explain(moe).root.bytes_read == 3 * weights + moe.router.weight.nbytes


@pytest.mark.parametrize(
    ("block", "each", "sums"),
    [
        (Mamba(16, state_dim=4), 6, 32 * 4),
        (Mamba2(16, heads=4, head_dim=8, state_dim=4), 5, 4 * 4 * 8),
        (GatedDeltaNet(16, heads=2, head_dim=8), 7, 2 * 8 * 8),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_recurrence_costs_its_matrices_and_its_sums(
    block: nn.Module, each: int, sums: int
) -> None:
    matrices = [p for n, p in block.named_parameters() if p.dim() > 1 and n != "A_log"]
    assert explain(block).root.flops == 2 * sum(p.numel() for p in matrices) + each * sums
    assert explain(block, context=9).root.flops == explain(block, context=900).root.flops


def test_bytes_are_weights_without_tables_and_what_is_remembered() -> None:
    model = stack(ties=(("head.weight", "embedding.weight"),))
    found, table = explain(model, context=20), 50 * 16 * 4
    assert found.root.bytes_read == found.nbytes + 16 * 4 + model.init_state(1, 20).nbytes
    assert explain(model.to(torch.bfloat16), context=20).root.bytes_read * 2 == (
        found.root.bytes_read
    )
    assert explain(stack(), context=20).nbytes == found.nbytes + table


def test_packed_matrices_cost_the_same_and_are_read_in_less() -> None:
    plain, packed = nn.Linear(64, 32, bias=False), PackedLinear(64, out_dim=32, bits=4)
    assert explain(packed).root.flops == explain(plain).root.flops == 2 * 64 * 32
    assert explain(packed).root.bytes_read == 32 * (64 // 2 + 64 // 32 * 2)


def test_who_costs_more_than_matrices_may_say_so() -> None:
    class Mine(nn.Linear):
        def flops(self, tokens: int, seen: int) -> int:
            return 2 * tokens * seen

    class Remembers(nn.Linear):
        def init_state(self, batch: int, room: int, dtype: Any, device: Any) -> None:
            return None

    assert explain(nn.Sequential(Mine(4, 4)), context=7).root.flops == 14
    assert explain(nn.Sequential(Remembers(4, 4))).root.flops is None


def test_it_is_printed_and_in_json() -> None:
    found = explain(stack(), context=100)
    data = json.loads(json.dumps(found.to_json()))
    assert data["context"] == 100
    assert data["flops"] == sum((p["flops"] or 0) * p["times"] for p in data["parts"])
    assert "FLOPS" in str(found)
