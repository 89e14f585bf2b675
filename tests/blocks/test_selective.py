"""The selective scan against its loop, and Mamba's fast path, memory and first weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blocks import CausalConv, CausalLM, Chain, Mamba, Mamba2, Residual, RMSNorm, Spec, State
from blocks.errors import GenerationError
from blocks.ops.selective import selective_loop, selective_scan
from blocks.step import Step

NAMES = ("x", "dt", "a", "b", "c", "start")


def case(rows: int, tokens: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Arguments with 5 channels of 3 numbers; some tokens last no time."""
    drawn = {"dtype": dtype}
    wide, narrow = (rows, tokens, 5), (rows, tokens, 3)
    dt = F.relu(torch.randn(wide, **drawn))
    a = -torch.rand(3, 5, **drawn) * 4
    x, b, c, start = (torch.randn(shape, **drawn) for shape in (wide, narrow, narrow, (rows, 3, 5)))
    made = dict(zip(NAMES, (x, dt, a, b, c, start), strict=True))
    return {name: tensor.requires_grad_() for name, tensor in made.items()}


@pytest.mark.parametrize(("rows", "tokens"), [(2, 13), (1, 1), (3, 64)])
@pytest.mark.parametrize("chunk", [None, 1, 4, 13, 90])
def test_any_chunk_gives_what_the_loop_gives(rows: int, tokens: int, chunk: int | None) -> None:
    given = case(rows, tokens)
    found, wanted = selective_scan(**given, chunk=chunk), selective_loop(**given)
    weights = [torch.randn_like(part) for part in wanted]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)
    grads = (
        torch.autograd.grad(
            sum((part * w).sum() for part, w in zip(out, weights, strict=True)),
            list(given.values()),
        )
        for out in (found, wanted)
    )
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-11)


def test_gradients_are_those_of_differences() -> None:
    given = case(2, 5)
    assert torch.autograd.gradcheck(
        lambda *each: selective_scan(*each, chunk=2), tuple(given.values())
    )


def test_a_graph_has_one_node_for_any_text() -> None:
    nodes = []

    def backend(graph: Any, _: Any) -> Any:
        nodes.append(len(graph.graph.nodes))
        return graph

    for tokens in (4, 64):
        torch.compiler.reset()
        given = {name: tensor.detach() for name, tensor in case(1, tokens).items()}
        compiled = torch.compile(selective_scan, backend=backend, fullgraph=True)
        for one, other in zip(compiled(**given), selective_scan(**given), strict=True):
            assert torch.equal(one, other)
    assert nodes[0] == nodes[1]


def test_the_operators_keep_what_torch_asks_of_them() -> None:
    given = tuple(case(2, 5).values())
    torch.library.opcheck(torch.ops.blocks.selective_scan, (*given, 2, True))


def test_only_a_state_a_chunk_is_kept_for_the_gradient() -> None:
    given, kept = case(1, 64), []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.shape) or t, lambda t: t
    )
    with hooks:
        selective_scan(**given, chunk=16)
    assert torch.Size([4, 1, 3, 5]) in kept
    assert max(shape.numel() for shape in kept) == 64 * 5, "no state of every token"


def test_a_text_in_parts_is_the_text() -> None:
    given = case(2, 9)
    start, a = given.pop("start"), given.pop("a")
    y, end = selective_scan(**given, a=a, start=start)
    first, rest = ({name: t.split([4, 5], 1)[i] for name, t in given.items()} for i in (0, 1))
    y1, middle = selective_scan(**first, a=a, start=start)
    y2, last = selective_scan(**rest, a=a, start=middle)
    torch.testing.assert_close(torch.cat([y1, y2], 1), y)
    torch.testing.assert_close(last, end)


def test_a_decay_that_vanishes_forgets() -> None:
    given = {name: tensor.detach() for name, tensor in case(1, 6, torch.float32).items()}
    given |= {"dt": torch.full((1, 6, 5), 1e4), "a": torch.full((3, 5), -1e4)}
    y, _ = selective_scan(**given)
    written = (given["b"] * given["c"]).sum(2, keepdim=True) * given["x"] * 1e4
    torch.testing.assert_close(y, written)


def test_fresh_weights_are_the_papers() -> None:
    layer = Mamba(64, state_dim=4)
    torch.testing.assert_close(layer.A_log.exp(), torch.arange(1.0, 5).expand(128, 4))
    assert torch.equal(layer.D, torch.ones(128))
    dt = F.softplus(layer.dt.bias).detach()
    assert 0.99e-3 < float(dt.min()) < 5e-3 and 2e-2 < float(dt.max()) < 1.01e-1
    assert layer.dt.weight.shape == (128, 4) and float(layer.dt.weight.detach().abs().max()) <= 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_many_tokens_are_convolved_as_few_are(dtype: torch.dtype) -> None:
    conv, x = CausalConv(6).to(dtype), torch.randn(2, 30, 6).to(dtype)
    state = State.of(conv, 2)
    parts = torch.cat([state.run(conv, part) for part in x.split(5, 1)], 1)
    close = {"atol": 1e-6, "rtol": 1e-6} if dtype == torch.float32 else {}
    torch.testing.assert_close(conv(x), parts, **close)


def test_packed_documents_are_read_as_if_alone() -> None:
    mixer = Spec(Residual, inner=Spec(Mamba, state_dim=3), norm_in=RMSNorm)
    layers = (Spec(Chain, steps={"mixer": mixer}),) * 2
    model = CausalLM(vocab=11, dim=8, layers=layers, norm=RMSNorm).double().eval()
    parts = [torch.randint(11, (1, n)) for n in (4, 1, 5)]
    packed = model(torch.cat(parts, 1), segments=torch.tensor([[0] * 4 + [1] + [2] * 5]))
    alone = torch.cat([model(part) for part in parts], 1)
    torch.testing.assert_close(packed, alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("what", ["kind", "batch", "dtype"])
def test_a_state_that_does_not_fit(what: str) -> None:
    layer, x = Mamba(8, state_dim=3), torch.randn(2, 3, 8)
    other = Mamba2(8, heads=2, head_dim=4) if what == "kind" else layer
    dtype = torch.bfloat16 if what == "dtype" else None
    content = State.of(other, 3 if what == "batch" else 2, dtype=dtype).content
    with pytest.raises(GenerationError) as caught:
        layer(x, Step.plain(x), content)
    assert caught.value.field == "state"


def test_the_sums_are_wide_and_as_large_after_any_text() -> None:
    layer = Mamba(8, state_dim=3).bfloat16()
    state = State.of(layer, 1)
    before = state.nbytes
    state.run(layer, torch.randn(1, 40, 8).bfloat16())
    assert (state.content.sums.dtype, state.content.tail.dtype) == (torch.float32, torch.bfloat16)
    assert state.nbytes == before
