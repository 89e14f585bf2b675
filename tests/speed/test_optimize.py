"""optimize: the same model, by other ways."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import (
    ALiBi,
    CausalLM,
    Chain,
    GatedMLP,
    GQAttention,
    InfiniAttention,
    PackedLinear,
    Residual,
    RMSNorm,
    RoPE,
    SoftCap,
    Spec,
    SpecError,
    Window,
)
from blocks.ops import native
from blocks.speed import quick

ATTENTION = Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(RoPE, theta=100.0),))
KINDS = {
    "plain": ATTENTION,
    "window": blocks.replace(ATTENTION, mask=Window(6)),
    "capped": blocks.replace(ATTENTION, scores=(Spec(SoftCap, cap=3.0), Spec(ALiBi))),
    "biased": blocks.replace(ATTENTION, bias=True, out_bias=True, sinks=True),
}
TOKENS = torch.arange(24).view(2, 12) * 7 % 50


def model(attention: Spec[Any], dim: int = 64, **options: Any) -> CausalLM:
    steps = {
        "attention": Spec(Residual, inner=attention, norm_in=RMSNorm),
        "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=96), norm_in=RMSNorm),
    }
    layers = (Spec(Chain, steps=steps),) * 2
    made = CausalLM(vocab=50, dim=dim, layers=layers, norm=RMSNorm, **options).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def written(one: CausalLM, room: int | None = 20) -> Tensor:
    """The logits of two rows, read and then written token by token."""
    with torch.no_grad():
        state = one.init_state(2, room)
        parts = [one(part, None, state) for part in TOKENS.split([5] + [1] * 7, 1)]
    return torch.cat(parts, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_change_nothing(kind: str) -> None:
    first = model(KINDS[kind])
    second = blocks.optimize(first, compile=False) if not native.obstacle() else first
    torch.testing.assert_close(written(second), written(first), rtol=1e-4, atol=1e-4)
    assert second.spec == first.spec and [*second.state_dict()] == [*first.state_dict()]
    assert second.layers[0].attention.inner.q.weight is first.layers[0].attention.inner.q.weight


@pytest.fixture
def untaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are compiled, also where the kernels could play them."""
    monkeypatch.setattr(quick, "tape_of", lambda model: None)


@pytest.mark.slow
@pytest.mark.usefixtures("untaped")
@pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")
@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_step_changes_nothing(kind: str) -> None:
    first = model(KINDS[kind])
    second = blocks.optimize(first)
    assert any("compiled" in line for line in second.prepared)
    for room in (20, 33, None):
        torch.testing.assert_close(
            written(second, room), written(first, room), rtol=1e-4, atol=1e-4
        )
    ragged: Any = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [3]]
    options: dict[str, Any] = {"max_new_tokens": 9, "stop": ()}
    assert torch.equal(
        blocks.generate(second, ragged, **options), blocks.generate(first, ragged, **options)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("untaped")
@pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")
@torch._dynamo.config.patch(recompile_limit=2)
def test_any_number_of_models_have_a_step() -> None:
    for _ in range(4):
        first = model(ATTENTION)
        close = {"rtol": 1e-4, "atol": 1e-4}
        torch.testing.assert_close(written(blocks.optimize(first)), written(first), **close)


@pytest.mark.parametrize("bits", [8, 4])
def test_packed_matrices(bits: int) -> None:
    first = model(ATTENTION, ties=(("head.weight", "embedding.weight"),))
    second = blocks.optimize(first, quantize="int8" if bits == 8 else "int4", compile=False)
    packed = [part for part in second.modules() if isinstance(part, PackedLinear)]
    assert len(packed) == 2 * 5 + 1  # keys and values are too small to be worth it
    assert {part.bits for part in packed[:-1]} == {bits}
    assert second.embedding.weight is first.embedding.weight
    off = (written(second) - written(first)).std() / written(first).std()
    assert 1e-3 < float(off) < {8: 0.05, 4: 0.5}[bits]


def test_other_models_are_left_as_they_are_and_told_of() -> None:
    first = model(Spec(InfiniAttention, heads=4, segment=8))
    with pytest.warns(UserWarning, match="can't be made with InfiniState"):
        second = blocks.optimize(first)
    torch.testing.assert_close(written(second), written(first), rtol=1e-4, atol=1e-4)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "obstacle", lambda: "there is none")
    first = model(ATTENTION)
    with pytest.warns(UserWarning, match="without the library's kernels, since there is none"):
        second = blocks.optimize(first, compile=False)
    assert torch.equal(written(second), written(first))


@pytest.mark.parametrize(
    ("given", "options", "field"),
    [
        (model(ATTENTION), {"quantize": "int3"}, "quantize"),
        ("model", {}, "model"),
        (RMSNorm(8), {"quantize": "int8"}, "quantize"),
    ],
)
def test_what_cannot_be_prepared(given: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        blocks.optimize(given, **options, compile=False)
    assert caught.value.field == field
