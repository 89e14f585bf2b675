"""Mixtures of experts against the models that have them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    DeepseekV2Config,
    DeepseekV3Config,
    MixtralConfig,
    PhimoeConfig,
    Qwen2MoeConfig,
)
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Moe
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MoE
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock
from transformers.models.phimoe.modeling_phimoe import PhimoeSparseMoeBlock
from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeSparseMoeBlock

from blocks import MLP, GatedMLP, Spec, replace, rewrite
from blocks.errors import SpecError
from blocks.moe.moe import MoE
from blocks.moe.sigmoid_router import SigmoidRouter
from blocks.moe.softmax_router import SoftmaxRouter
from blocks.moe.sparse_mixer_router import SparseMixerRouter
from blocks.moe.topk_router import TopKRouter

B, T, D, F, X = 2, 9, 12, 10, 8


def scrambled(module: nn.Module) -> Any:
    for _, tensor in [*module.named_parameters(), *module.named_buffers()]:
        nn.init.normal_(tensor, std=0.5)
    return module.eval()


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * wanted.detach().std().item())


def loaded(ours: nn.Module, theirs: Any, router: str = "gate", shared: str = "") -> Any:
    """`ours` with the weights of a reference block, whose experts are stacked and fused."""
    names = {f"router.{k}": v for k, v in getattr(theirs, router).state_dict().items()}
    if "router.e_score_correction_bias" in names:
        names["router.correction"] = names.pop("router.e_score_correction_bias")
    for i in range(X):
        gate, up = theirs.experts.gate_up_proj[i].detach().chunk(2)
        names |= {f"experts.{i}.gate.weight": gate, f"experts.{i}.up.weight": up}
        names[f"experts.{i}.down.weight"] = theirs.experts.down_proj[i].detach()
    if shared:
        for part in ("gate", "up", "down"):
            names[f"shared.{part}.weight"] = getattr(getattr(theirs, shared), f"{part}_proj").weight
    if hasattr(theirs, "shared_expert_gate"):
        names["shared_gate.weight"] = theirs.shared_expert_gate.weight
    ours.load_state_dict(names)
    return ours.eval()


def moe(top_k: int = 2, **options: Any) -> nn.Module:
    return MoE(D, experts=X, top_k=top_k, expert=Spec(GatedMLP, hidden=F), **options)


def config(kind: Any, **options: Any) -> Any:
    sizes = {"hidden_size": D, "intermediate_size": F, "moe_intermediate_size": F}
    sizes["num_attention_heads"] = 4
    made = kind(**sizes, num_experts_per_tok=options.pop("top_k", 2), **options)
    made._experts_implementation = "eager"
    return made


def test_mixtral() -> None:
    theirs = scrambled(MixtralSparseMoeBlock(config(MixtralConfig, num_local_experts=X)))
    ours, x = loaded(moe(), theirs), torch.randn(B, T, D)
    close(ours(x), theirs(x))
    # The reference rounds the router's logits, ours doesn't: ours is the nearer to the truth.
    narrow, x = ours.bfloat16(), x.bfloat16()
    truth = copy.deepcopy(narrow).double()(x.double())
    wanted, found = theirs.bfloat16()(x), narrow(x)
    assert found.dtype == torch.bfloat16
    assert (found - truth).abs().mean() <= 1.05 * (wanted - truth).abs().mean()


@pytest.mark.parametrize("renormalize", [False, True])
def test_qwen2_moe(renormalize: bool) -> None:
    options = {"num_experts": X, "top_k": 3, "shared_expert_intermediate_size": 7}
    theirs = Qwen2MoeSparseMoeBlock(config(Qwen2MoeConfig, norm_topk_prob=renormalize, **options))
    router = Spec(SoftmaxRouter, renormalize=renormalize)
    ours = moe(3, router=router, shared=Spec(GatedMLP, hidden=7), shared_gate=True)
    loaded(ours, scrambled(theirs), shared="shared_expert")
    x = torch.randn(B, T, D)
    close(ours(x), theirs(x))


@pytest.mark.parametrize(("groups", "kept"), [(1, 1), (4, 2), (2, 1)])
def test_deepseek_v2(groups: int, kept: int) -> None:
    method = "greedy" if groups == 1 else "group_limited_greedy"
    options = {"n_routed_experts": X, "n_shared_experts": 2, "topk_method": method}
    groups_of_theirs = {"n_group": groups, "topk_group": kept, "routed_scaling_factor": 3.0}
    theirs = scrambled(
        DeepseekV2Moe(config(DeepseekV2Config, top_k=3, **options, **groups_of_theirs))
    )
    router = Spec(SoftmaxRouter, renormalize=False, groups=groups, kept_groups=kept, scale=3.0)
    ours = moe(3, router=router, shared=Spec(GatedMLP, hidden=2 * F))
    loaded(ours, theirs, shared="shared_experts")
    x = torch.randn(B, T, D)
    close(ours(x), theirs(x))


@pytest.mark.parametrize(("groups", "kept"), [(1, 1), (4, 2), (2, 1)])
@pytest.mark.parametrize("renormalize", [False, True])
def test_deepseek_v3(groups: int, kept: int, renormalize: bool) -> None:
    options = {"n_routed_experts": X, "n_shared_experts": 1, "norm_topk_prob": renormalize}
    groups_of_theirs = {"n_group": groups, "topk_group": kept, "routed_scaling_factor": 2.5}
    theirs = scrambled(
        DeepseekV3MoE(config(DeepseekV3Config, top_k=3, **options, **groups_of_theirs))
    )
    router = Spec(
        SigmoidRouter, renormalize=renormalize, groups=groups, kept_groups=kept, scale=2.5
    )
    ours = moe(3, router=router, shared=Spec(GatedMLP, hidden=F))
    loaded(ours, theirs, shared="shared_experts")
    assert ours.router.correction.abs().min() > 0
    x = torch.randn(B, T, D)
    close(ours(x), theirs(x))


@pytest.mark.parametrize("jitter", [0.0, 0.01, 0.3])
def test_phimoe(jitter: float) -> None:
    options = {"num_local_experts": X, "router_jitter_noise": jitter, "input_jitter_noise": 0.0}
    theirs = scrambled(PhimoeSparseMoeBlock(config(PhimoeConfig, **options)))
    ours = loaded(moe(router=Spec(SparseMixerRouter, jitter=jitter)), theirs, router="router")
    x = torch.randn(B, T, D)
    close(ours(x), theirs(x))


ROUTERS = {
    "softmax": Spec(
        SoftmaxRouter, renormalize=False, groups=4, kept_groups=2, scale=2.0, bias=True
    ),
    "renormalized": Spec(SoftmaxRouter),
    "topk": Spec(TopKRouter, bias=True),
    "sigmoid": Spec(SigmoidRouter, groups=2, kept_groups=1, scale=2.0),
    "sparse mixer": Spec(SparseMixerRouter, jitter=0.3),
}


@pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS.keys())
def test_gradients(router: Any) -> None:
    block = MoE(
        4,
        experts=X,
        top_k=2,
        expert=Spec(GatedMLP, hidden=3),
        router=router,
        shared=Spec(MLP, hidden=3),
        shared_gate=True,
    )
    scrambled(block.double())
    x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    names = ["router.weight", "shared_gate.weight", "shared.up.weight"]
    leaves = [block.get_parameter(name) for name in names]
    assert torch.autograd.gradcheck(lambda *_: block(x), (x, *leaves))
    grads = torch.autograd.grad(block(x).square().sum(), leaves)
    assert all(grad.abs().max() > 0 for grad in grads)


@pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS.keys())
def test_tokens_are_independent(router: Any) -> None:
    block, x = scrambled(moe(router=router, shared=Spec(MLP, hidden=3))), torch.randn(B, T, D)
    whole, order = block(x), torch.randperm(T)
    torch.testing.assert_close(block(x[:1, 4:5]), whole[:1, 4:5])
    torch.testing.assert_close(block(x[:, order]), whole[:, order])


BASE = Spec(
    MoE,
    experts=X,
    top_k=2,
    expert=Spec(GatedMLP, hidden=F),
    router=Spec(SoftmaxRouter, groups=4, kept_groups=1),
    shared=Spec(MLP, hidden=F),
)
CHANGES: list[tuple[type, dict[str, Any]]] = [
    (MoE, {"top_k": 1}),
    (MoE, {"shared": None}),
    (MoE, {"shared_gate": True}),
    (MoE, {"router": SigmoidRouter}),
    (MoE, {"router": TopKRouter}),
    (MoE, {"router": SparseMixerRouter}),
    (SoftmaxRouter, {"renormalize": False}),
    (SoftmaxRouter, {"groups": 2}),
    (SoftmaxRouter, {"kept_groups": 2}),
    (SoftmaxRouter, {"scale": 2.0}),
    (SoftmaxRouter, {"bias": True}),
]


@pytest.mark.parametrize(("block", "change"), CHANGES, ids=str)
def test_every_option_matters(block: type, change: dict[str, Any]) -> None:
    changed = rewrite(BASE, block, lambda spec: replace(spec, **change))
    x, found = torch.randn(B, T, D), []
    for spec in (BASE, changed):
        one = spec(D)
        for name, parameter in one.named_parameters():  # the same name, the same numbers
            torch.manual_seed(len(name) * 100 + sum(map(ord, name)))
            nn.init.normal_(parameter, std=0.5)
        found.append(one.eval()(x))
    assert (found[0] - found[1]).abs().max() > 0.01


def test_addresses() -> None:
    block = BASE(D)
    names = set(dict(block.named_parameters()))
    assert {"router.weight", "experts.0.gate.weight", "experts.7.down.weight"} < names
    assert "shared.up.weight" in names
    gated = Spec(MoE, **{**BASE.keywords, "shared_gate": True})(D)
    assert gated.shared_gate.weight.shape == (1, D)


def test_on_meta() -> None:
    assert moe().to("meta")(torch.empty(1, T, D, device="meta")).shape == (1, T, D)


# The compiler itself reads .grad of what crosses a break of the graph.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_without_a_graph_for_every_choice() -> None:
    block, x = scrambled(moe()), torch.randn(1, 40, D)
    compiles: list[int] = []

    def backend(graph: Any, _: Any) -> Any:
        compiles.append(len(graph.graph.nodes))
        return graph

    compiled = torch.compile(block, backend=backend, dynamic=True)
    for n in (9, 4):
        torch.testing.assert_close(compiled(x[:, :n]), block(x[:, :n]))
    before = len(compiles)
    for n in range(5, 40, 6):
        torch.testing.assert_close(compiled(x[:, :n]), block(x[:, :n]))
    assert 0 < before == len(compiles)


def test_one_graph_of_all_experts_for_any_choice() -> None:
    block, compiles = scrambled(moe()), []

    def backend(graph: Any, _: Any) -> Any:
        compiles.append(graph)
        return graph

    compiled = torch.compile(block, backend=backend, dynamic=True, fullgraph=True)
    for n in range(4, 40, 6):
        x = torch.randn(1, n, D)
        assert torch.equal(compiled(x), block(x))
    assert len(compiles) == 1
    x = torch.randn(2, 5, D)
    exported = torch.export.export(block, (torch.randn(2, 5, D),))
    assert torch.equal(exported.module()(x), block(x))


def test_errors() -> None:
    with pytest.raises(SpecError, match="9 experts can't be chosen among 8"):
        moe(9)
    with pytest.raises(SpecError, match="top_k must be above zero"):
        moe(0)
    with pytest.raises(SpecError, match="a gate needs a shared expert"):
        moe(shared_gate=True)
    with pytest.raises(SpecError, match=rf"\[batch, tokens, {D}\]"):
        moe()(torch.randn(T, D))
