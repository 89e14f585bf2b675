"""The compiled step beside the plain one, for everything that a layer may remember with."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import (
    GRU,
    LSTM,
    MLP,
    RGLRU,
    RWKV,
    S4D,
    CausalConv,
    CausalLM,
    Chain,
    ClampedGLU,
    GatedDeltaNet,
    GatedMixer,
    GatedMLP,
    GQAttention,
    LatentAttention,
    LinearAttention,
    Load,
    Mamba,
    Mamba2,
    MoE,
    Residual,
    RMSNorm,
    RoPE,
    RWKVChannelMix,
    Save,
    Spec,
    Window,
)
from blocks.ops import native
from blocks.speed.quick import Quick, why_not

ATTENTION = Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(RoPE, theta=100.0),))
LATENT = Spec(LatentAttention, heads=4, kv_rank=8, nope_dim=8, rope_dim=4, value_dim=8, qk=(RoPE,))
MLP_OF = Spec(GatedMLP, hidden=48)
MIXERS: dict[str, tuple[Any, ...]] = {
    "mamba": (Spec(Mamba, inner=64, state_dim=4, rank=4),),
    "mamba2": (Spec(Mamba2, heads=4, head_dim=8, state_dim=8),),
    "delta": (Spec(GatedDeltaNet, heads=2, head_dim=8),),
    "griffin": (Spec(GatedMixer, steps={"conv": CausalConv, "lru": Spec(RGLRU, heads=2)}),),
    "rwkv": (RWKV, RWKVChannelMix),
    "lstm and gru": (LSTM, GRU),
    "linear": (Spec(LinearAttention, heads=4),),
    "s4d": (Spec(S4D, state_dim=8),),
    "latent": (LATENT,),
    "latent window": (blocks.replace(LATENT, mask=Window(5)),),
    "hybrid": (ATTENTION, Spec(Mamba, inner=64, state_dim=4, rank=4), CausalConv),
    "taps": (Spec(Save, name="x"), ATTENTION, Spec(Load, name="x", inner=MLP_OF, merge="sum")),
    "experts": (ATTENTION, Spec(MoE, experts=4, top_k=2, expert=MLP_OF)),
}
slow = pytest.mark.slow
kernels = pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")
TOKENS = torch.arange(24).view(2, 12) * 7 % 50


def model(*mixers: Any) -> CausalLM:
    steps = {f"part{i}": Spec(Residual, inner=m, norm_in=RMSNorm) for i, m in enumerate(mixers)}
    layers = (Spec(Chain, steps=steps),) * 2
    torch.manual_seed(0)
    return CausalLM(vocab=50, dim=32, layers=layers, norm=RMSNorm).eval().requires_grad_(False)


def written(one: CausalLM, batch: int = 2, room: int | None = 20) -> Tensor:
    """The logits of some rows, read and then written token by token."""
    with torch.no_grad():
        state = one.init_state(batch, room)
        parts = [one(part, None, state) for part in TOKENS[:batch].split([5] + [1] * 7, 1)]
    return torch.cat(parts, 1)


@pytest.fixture
def graphs_alone(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is compiled is traced into one graph, and that is run as it is."""
    compiled = torch.compile

    def traced(function: Any, **options: Any) -> Any:
        return compiled(function, **options, backend="eager")

    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(torch, "compile", traced)


def graphs() -> int:
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.mark.parametrize(
    "kind", [n if n == "mamba" else pytest.param(n, marks=slow) for n in MIXERS]
)
def test_one_graph_does_what_the_layers_do(kind: str, graphs_alone: Any) -> None:
    first, second = model(*MIXERS[kind]), model(*MIXERS[kind])
    assert why_not(second) is None
    second.forward = Quick(second)
    for batch in (1, 2):
        torch.testing.assert_close(
            written(second, batch), written(first, batch), rtol=1e-5, atol=1e-5
        )
    before = graphs()
    assert 0 < before <= 4
    for room in (33, 70):
        torch.testing.assert_close(written(second, 2, room), written(first, 2, room))
        written(second, 1, room)
    assert graphs() == before  # no room has a graph of its own


@slow
@pytest.mark.parametrize("kind", ["hybrid", "griffin", "experts"])
def test_generation_is_the_same(kind: str, graphs_alone: Any) -> None:
    first, second = model(*MIXERS[kind]), model(*MIXERS[kind])
    second.forward = Quick(second)
    ragged: Any = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [3]]
    options: dict[str, Any] = {"max_new_tokens": 9, "stop": ()}
    wanted = blocks.generate(first, ragged, **options)
    assert torch.equal(blocks.generate(second, ragged, **options), wanted)


@slow
@pytest.mark.parametrize("kind", ["hybrid", "griffin", "latent", "latent window"])
def test_drafts_pieces_and_a_cache(kind: str, graphs_alone: Any) -> None:
    """Several tokens at once go the plain way, with the memory that the compiled step uses."""
    first, second = (model(*MIXERS[kind]).double() for _ in range(2))
    second.forward = Quick(second)
    ragged: Any = [[1, 2, 1, 2], [4, 5, 6, 4, 5], [3]]
    options: dict[str, Any] = {"max_new_tokens": 12, "stop": ()}
    wanted = blocks.generate(first, ragged, **options)
    for helper in (blocks.PromptLookup(1), blocks.DraftModel(second, 3), first):
        found = blocks.generate(second, ragged, assistant=helper, chunk=2, **options)
        assert torch.equal(found, wanted)
    cache, text = blocks.PromptCache(second, follow=True), [1, 2, 3]
    for cut in (0, 3, 1):
        said = blocks.generate(first, text, **options)
        assert torch.equal(blocks.generate(second, text, cache=cache, **options), said)
        text = [*said[0, : said.shape[1] - cut].tolist(), 7]


@slow
@kernels
@pytest.mark.parametrize("kind", ["mamba", "delta", "griffin", "lstm and gru", "latent", "experts"])
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")  # inductor's own
def test_a_compiled_step_changes_nothing(kind: str) -> None:
    first = model(*MIXERS[kind])
    second = blocks.optimize(first)
    assert any("compiled" in line for line in second.prepared)
    torch.testing.assert_close(written(second), written(first), rtol=1e-4, atol=1e-4)


EXPERTS = {
    "gated": Spec(GatedMLP, hidden=48),
    "biased": Spec(GatedMLP, hidden=40, bias=True),
    "clamped": Spec(ClampedGLU, hidden=48, bias=True),
    "plain": Spec(MLP, hidden=48),
}


@kernels
@pytest.mark.parametrize("expert", EXPERTS)
@pytest.mark.parametrize("tokens", [1, 3, 40])
def test_experts_by_the_kernels(expert: str, tokens: int) -> None:
    first = model(Spec(MoE, experts=4, top_k=2, expert=EXPERTS[expert]))
    second = blocks.optimize(first, compile=False)
    ids = torch.arange(tokens)[None] * 7 % 50
    torch.testing.assert_close(second(ids), first(ids), rtol=1e-4, atol=1e-4)


@kernels
@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_packed_experts_by_the_kernels(quantize: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call for all of them gives what each gives by itself."""
    moe = Spec(MoE, experts=4, top_k=2, expert=Spec(GatedMLP, hidden=160, bias=True))
    packed = blocks.optimize(model(moe), quantize=quantize, compile=False)
    ids = torch.arange(3)[None]
    found = packed(ids)
    monkeypatch.setattr("blocks.wiring.experts._together", lambda *args: False)
    torch.testing.assert_close(packed(ids), found, rtol=1e-5, atol=1e-5)


@kernels
def test_only_the_chosen_experts_are_read() -> None:
    second = blocks.optimize(model(Spec(MoE, experts=8, top_k=2, expert=MLP_OF)), compile=False)
    ids, moe = torch.tensor([[3]]), second.layers[0].part0.inner
    wanted, chosen = second(ids), set[int]()
    moe.router.register_forward_hook(lambda *args: chosen.update(args[2][1].flatten().tolist()))
    second(ids)
    assert len(chosen) == 2
    for i in set(range(8)) - chosen:
        for p in moe.experts[i].parameters():
            p.fill_(torch.nan)
    assert torch.equal(second(ids), wanted)


@kernels
def test_a_copy_has_experts_of_its_own(graphs_alone: Any) -> None:
    first = blocks.optimize(model(Spec(MoE, experts=4, top_k=2, expert=MLP_OF)), compile=False)
    second = copy.deepcopy(first)
    for p in second.layers[0].part0.inner.experts.parameters():
        p.zero_()
    wanted = written(second)
    assert not torch.equal(wanted, written(first))
    second.forward = Quick(second)
    torch.testing.assert_close(written(second), wanted)
