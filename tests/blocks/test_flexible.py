"""Attention by rules, as a GPU computes it, says what the plain equation says.

No GPU is needed: torch's flex attention runs on a processor too, one operation after another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import flex_attention

from blocks import (
    ALiBi,
    Causal,
    CausalLM,
    Chain,
    Chunk,
    Full,
    Gist,
    GQAttention,
    NearChunks,
    Prefix,
    RelativeBias,
    RMSNorm,
    RoPE,
    SoftCap,
    Spec,
    State,
    Step,
    SymmetricWindow,
    Window,
)
from blocks.attention.seen import Seen
from blocks.ops import flexible, gpu
from blocks.ops.attend import attend_plain
from blocks.ops.graphs import graph_of
from blocks.ops.table import ALL, Table, biases, one, whole

B, T, D, H, K, E = 2, 9, 64, 4, 2, 16
CAP, BIAS, T5 = Spec(SoftCap, cap=0.5), Spec(ALiBi), Spec(RelativeBias, buckets=8, distance=8)

pytestmark = [
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile"),
    # What torch's compiler does within itself:
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Blocks compute as on a GPU; what they ask of flex attention."""
    found: list[dict[str, Any]] = []

    def noting(*args: Any, **how: Any) -> Tensor:
        found.append(how)
        return by_rules(*args, **how)

    by_rules = flexible.attend_by_rules
    monkeypatch.setattr(flexible, "attend_by_rules", noting)
    monkeypatch.setattr(flexible, "LONG", 1)
    monkeypatch.setattr(flexible, "_kept", lambda function, kind: function)
    monkeypatch.setattr(flex_attention, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *tensors: None)
    monkeypatch.setattr(gpu, "on", lambda x: True)
    return found


def real() -> Tensor:
    return torch.arange(T) < torch.tensor([[T], [T - 4]])


STEPS: dict[str, Callable[[], Step]] = {
    "plain": lambda: Step(torch.arange(T)[None]),
    "padded": lambda: Step((real().cumsum(1) - 1).clamp(min=0), real=real()),
    "packed": lambda: Step(torch.arange(T)[None] % 5, segments=torch.arange(T)[None] // 5),
    "told": lambda: Step(torch.arange(T)[None], seen=torch.rand(B, T, T) > 0.3),
}
OPTIONS: list[dict[str, Any]] = [
    {"mask": Window(3)},
    {"mask": Chunk(4)},
    {"mask": Prefix(3)},
    {"mask": SymmetricWindow(2)},
    {"mask": NearChunks(3, 1, 1)},
    {"mask": Gist(2, 4)},
    {"mask": Causal() & SymmetricWindow(2), "scores": (CAP,)},
    {"scores": (CAP,)},
    {"scores": (BIAS,)},
    {"scores": (T5, CAP, BIAS), "scale": 0.3},
    {"sinks": True},
    {"mask": Full(), "sinks": True, "scores": (CAP,)},
    {"mask": Window(3), "sinks": True, "kv_heads": H, "value_dim": 24},
]


def attention(**options: Any) -> GQAttention:
    block = GQAttention(D, heads=H, kv_heads=options.pop("kv_heads", K), qk=(RoPE,), **options)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.2)
    return block


def result(block: nn.Module, x: Tensor, step: Step, whole: bool) -> list[Tensor]:
    """The output, and gradients of the input and parameters."""
    real = torch.ones(1, T, dtype=torch.bool) if step.real is None else step.real
    y = block(x, step) * real[..., None]
    named = block.named_parameters()
    leaves = [x, *(p for name, p in named if whole or not name.startswith("scores"))]
    return [y, *torch.autograd.grad(y.square().sum(), leaves)]


def same(block: nn.Module, step: Step, calls: Any, whole: bool = False) -> None:
    x = torch.randn(B, T, D, requires_grad=True)
    found = result(block, x, step, whole)
    assert len(calls) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "on", lambda x: False)
        wanted = result(block, x, Step(**facts(step)), whole)
    assert len(calls) == 1
    for mine, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=2e-5 * other.detach().std().item())


def facts(step: Step) -> dict[str, Any]:
    names = ("positions", "real", "segments", "seen")
    return {name: getattr(step, name) for name in names}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_blocks(options: dict[str, Any], step: str, calls: list[dict[str, Any]]) -> None:
    same(attention(**options), STEPS[step](), calls)


@pytest.fixture
def graphs(calls: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Graphs are made as for a GPU, and then run one operation after another."""
    found: list[Any] = []

    def note(graph: Any, inputs: Any) -> Any:
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(
        flexible, "_kept", cache(lambda function, kind: graph_of(function, backend=note))
    )
    monkeypatch.setattr(flex_attention, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", False)
    return found


def test_what_a_bias_learns(graphs: list[Any], calls: Any) -> None:
    same(attention(scores=(T5, CAP), sinks=True), STEPS["packed"](), calls, whole=True)
    assert len(graphs) == 2, "of the blocks, and of the attention"


@pytest.mark.slow
def test_layers_and_lengths_share_graphs(
    graphs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [attention(mask=Window(5), scores=(CAP, BIAS)).eval() for _ in range(3)]
    with torch.no_grad():
        for length in (33, 40, 50, 60):
            x = torch.randn(1, length, D)
            step = Step.plain(x)
            found = [layer(x, step) for layer in layers]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(gpu, "on", lambda x: False)
                wanted = [layer(x) for layer in layers]
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert len(graphs) == 4, "of the first length, and of any other"


@pytest.mark.slow
def test_a_model_is_one_graph(calls: Any) -> None:
    options = ({"mask": Window(3)}, {"scores": (CAP, BIAS), "sinks": True})
    layers = [Spec(GQAttention, heads=H, kv_heads=K, qk=(RoPE,), **more) for more in options]
    chains = tuple(Spec(Chain, steps={"attention": layer}) for layer in layers)
    model = CausalLM(vocab=50, dim=D, layers=chains, norm=RMSNorm).eval()
    tokens, segments = torch.randint(50, (B, T)), torch.arange(T)[None].expand(B, -1) // 5
    graph: Any = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        found = graph(tokens, segments=segments)
        assert len(calls) == 2
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gpu, "on", lambda x: False)
            wanted = model(tokens, segments=segments)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mask", [Causal(), Window(6)], ids=str)
@pytest.mark.parametrize("room", [None, 2 * T])
def test_what_was_remembered(mask: Any, room: int | None, calls: list[dict[str, Any]]) -> None:
    block, x = attention(mask=mask, scores=(CAP, BIAS)).requires_grad_(False), torch.randn(B, T, D)
    state = State.of(block, B, room)
    parts = [state.run(block, part) for part in x.split([4, 3, 2], 1)]
    assert len(calls) == 3
    torch.testing.assert_close(torch.cat(parts, 1), block(x), rtol=1e-5, atol=1e-5)


def test_the_equation_in_float64(calls: list[dict[str, Any]]) -> None:
    q, k, v = (torch.randn(B, n, T, E, dtype=torch.float64) for n in (H, K, K))
    sinks, cap = torch.randn(H, dtype=torch.float64), SoftCap(H, cap=0.5)
    hidden = torch.rand(B, 1, T, T) > 0.4
    hidden[0, :, 2] = False
    seen = Table(lambda: lambda at: at.pair(hidden[:, 0]), B)
    positions = torch.arange(T)[None]
    bias = biases([ALiBi(H)], positions, positions)
    assert isinstance(bias, Table)
    how: dict[str, Any] = {"maps": (cap,), "sinks": sinks, "scale": 0.7}
    found = flexible.attend_by_rules(q, k, v, seen=seen, bias=bias, **how)
    wanted = attend_plain(q, k, v, seen=hidden, bias=bias.whole, **how)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    assert found[0, :, 2].eq(0).all(), "a query that sees nothing gets zeros"


@pytest.mark.parametrize("part", [ALiBi(H), ALiBi(6, scale=0.3), RelativeBias(H)], ids=str)
def test_a_rule_says_what_the_whole_does(part: Any) -> None:
    q, k = torch.randint(9, (B, 4)), torch.arange(7)[None]
    bias = biases([part, part], q, k)
    assert isinstance(bias, Table) and bias.rows == B
    wanted = bias.whole
    rule = bias.rule()
    assert torch.equal(wanted, 2 * part(q, k))
    for place in [(0, 0, 0, 0), (1, 3, 2, 6), (1, 2, 3, 1)]:
        element = rule(one(*map(torch.tensor, place)))
        assert torch.equal(element.squeeze(), wanted[place])


def test_a_table_is_made_once() -> None:
    made: list[int] = []
    table = Table(lambda: made.append(1) or (lambda at: at.k(torch.arange(3)[None])), 1)
    assert table.whole is table.whole and whole(table) is table.whole and made == [1]
    assert torch.equal(table.whole, torch.arange(3)[None, None, None])
    assert ALL.q(torch.ones(2, 3)).shape == (2, 1, 3, 1)


@pytest.mark.parametrize("mask", [Causal(), Window(9)], ids=str)
def test_each_row_has_blocks_of_its_own(mask: Any, calls: Any) -> None:
    real = torch.arange(300) < torch.tensor([[100], [300]])
    step = Step((real.cumsum(1) - 1).clamp(min=0), real=real)
    seen = Seen.new(torch.empty(B, K, 300, E), torch.empty(B, K, 300, E), step)
    table = seen.shown(mask, step)["seen"]
    found = flexible._blocks(table, 300, 300, real.device).to_dense()
    padded = nn.functional.pad(table.whole, (0, 84, 0, 84)).unflatten(3, (3, -1))
    wanted = padded.unflatten(2, (3, -1)).any(5).any(3)  # B 1 3 3
    assert torch.equal(found.bool(), wanted) and not torch.equal(wanted[0], wanted[1])


def suited(**other: Any) -> bool:
    q = torch.empty(1, H, other.pop("t", T), other.pop("e", E), dtype=other.pop("dtype", None))
    table = Table(lambda: lambda at: at.head, 1)
    how = {"seen": table, "causal": False, "bias": None, "maps": (), "sinks": None}
    return flexible.suits(q, q[..., : other.pop("v", E)], **{**how, **other})


def test_what_is_left_to_other_paths(calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        suited() and suited(causal=True, sinks=torch.zeros(H)) and suited(maps=[SoftCap(H, cap=1)])
    )
    assert not suited(causal=True), "torch's own kernel knows the triangle"
    assert not suited(seen=None) and suited(seen=None, sinks=torch.zeros(H))
    assert not suited(seen=torch.ones(T, T)) and not suited(bias=torch.ones(T, T))
    assert not suited(maps=[torch.tanh]), "a map that doesn't say that it is pointwise"
    heard = SoftCap(H, cap=1)
    heard.register_forward_hook(lambda *seen: None)
    assert not suited(maps=[heard])
    assert not suited(e=8) and not suited(e=512) and not suited(v=8)
    assert not suited(dtype=torch.float64) and suited(dtype=torch.bfloat16)
    monkeypatch.setattr(flexible, "LONG", T + 1)
    assert not suited() and suited(t=T + 1)


def test_who_drops_weights_or_looks_gets_the_equation(calls: Any) -> None:
    import blocks

    block, x = attention(scores=(CAP,), dropout=0.5), torch.randn(B, T, D)
    block(x)
    assert not calls
    block.eval()
    with blocks.capture(block, "pattern") as got:
        block(x)
    assert not calls and got["pattern"].shape == (B, H, T, T)
    block(x)
    assert len(calls) == 1
