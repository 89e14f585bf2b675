"""A step played from a tape beside the same step block by block."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import (
    MLP,
    XIELU,
    CausalLM,
    Chain,
    DynamicScaling,
    GatedMLP,
    GQAttention,
    LayerNorm,
    LearnedPositions,
    Parallel,
    QKNorm,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    TokenEmbedding,
    Window,
)
from blocks.ops import native
from blocks.speed import plays
from blocks.speed.quick import Quick
from tests.families.reference import families, first, load

pytestmark = pytest.mark.skipif(bool(native.obstacle()), reason=f"{native.obstacle()}")
ROPE = Spec(RoPE, theta=100.0)
ATTENTION = Spec(GQAttention, heads=4, kv_heads=2, qk=(ROPE,))
GATED = Spec(GatedMLP, hidden=40)
TOKENS = torch.arange(28).view(2, 14) * 7 % 50


def layer(attention: Spec[Any] = ATTENTION, mlp: Spec[Any] = GATED, **wiring: Any) -> Spec[Any]:
    wiring = wiring or {"norm_in": RMSNorm}
    return Spec(
        Chain,
        steps={
            "attention": Spec(Residual, inner=attention, **wiring),
            "mlp": Spec(Residual, inner=mlp, **wiring),
        },
    )


def attending(**options: Any) -> Spec[Any]:
    return layer(blocks.replace(ATTENTION, **options))


LAYERS: dict[str, Spec[Any]] = {
    "plain": layer(),
    "adjacent half": attending(qk=(Spec(RoPE, rotated=0.5, pairing="adjacent"),)),
    "longer": attending(qk=(Spec(RoPE, scaling=DynamicScaling(factor=2.0, trained=8)),)),
    "norm of heads": attending(qk=(Spec(QKNorm, norm=RMSNorm), ROPE)),
    "norm of all": attending(qk=(Spec(QKNorm, norm=LayerNorm, over="all"),)),
    "window": attending(mask=Window(6)),
    "wide values": attending(value_dim=5, head_dim=6, scale=0.3, bias=True, out_bias=True),
    "one head": attending(heads=1, kv_heads=1),
    "layer norms": layer(norm_in=Spec(LayerNorm, offset=1.0), scale=0.5),
    "bare norms": layer(norm_in=Spec(LayerNorm, weight=False, bias=False), carry=0.7),
    "sandwich": layer(norm_in=Spec(RMSNorm, offset=1.0), norm_out=Spec(RMSNorm, weight=False)),
    "norm after": layer(norm_after=RMSNorm),
    "parallel": Spec(
        Residual,
        inner=Spec(Parallel, branches={"attention": ATTENTION, "mlp": GATED}),
        norm_in=RMSNorm,
    ),
    **{
        act: layer(
            mlp=Spec(MLP, hidden=37, act=act) if i % 2 else Spec(GatedMLP, hidden=37, act=act)
        )
        for i, act in enumerate(("gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "sigmoid"))
    },
    **{act: layer(mlp=Spec(MLP, hidden=37, act=act)) for act in ("silu", "tanh", "identity")},
}
OTHERS: dict[str, Spec[Any]] = {
    "sinks": attending(sinks=True),
    "weights of an activation": layer(mlp=Spec(MLP, hidden=8, act=XIELU)),
    "one branch times the other": Spec(
        Parallel, branches={"a": GATED, "b": GATED}, merge="product"
    ),
}


def model(one: Spec[Any], **options: Any) -> Any:
    torch.manual_seed(0)
    made = CausalLM(vocab=50, dim=32, layers=(one,) * 2, norm=RMSNorm, **options).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def written(one: CausalLM, rows: int = 2, room: int | None = 20) -> Tensor:
    """The logits of some rows, read and then written token by token."""
    with torch.no_grad():
        state = one.init_state(rows, room)
        parts = [one(part, None, state) for part in TOKENS[:rows].split([4] + [1] * 10, 1)]
    return torch.cat(parts, 1)


def taped(one: CausalLM, **options: Any) -> tuple[Any, list[int]]:
    """The prepared model, and the list in which it counts the rows of each step it plays."""
    quick = blocks.optimize(one, compile=False, **options)
    forward: Any = vars(quick)["forward"]
    assert isinstance(forward, Quick) and forward.tape is not None
    tape, played = forward.tape, []

    class Counting:
        remembered, rows, fresh = tape.remembered, tape.rows, True

        def __call__(self, tokens: Tensor, *given: Any) -> Tensor:
            played.append(len(tokens))
            return tape(tokens, *given)

    vars(forward)["tape"] = Counting()
    return quick, played


def close(found: Tensor, wanted: Tensor, rounding: float = 1e-4) -> None:
    torch.testing.assert_close(found, wanted, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_tape_does_what_the_layers_do(kind: str) -> None:
    first = model(LAYERS[kind])
    second, played = taped(first)
    for rows in (1, 2):
        close(written(second, rows), written(first, rows))
    assert played == [1] * 10 + [2] * 10


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["plain", "norm of heads", "layer norms", "window"])
def test_in_16_bits(kind: str, dtype: torch.dtype) -> None:
    exact = written(model(LAYERS[kind]).to(dtype).float())
    first = model(LAYERS[kind]).to(dtype)
    second, played = taped(first)
    off = (written(second).float() - exact).abs().mean()
    assert played and off < 1.2 * (written(first).float() - exact).abs().mean()


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_packed_matrices(quantize: str) -> None:
    first = model(layer(blocks.replace(ATTENTION, head_dim=32)), ties=())
    second, played = taped(first, quantize=quantize)
    third = blocks.optimize(first, quantize=quantize, compile=False)  # pyright: ignore[reportArgumentType]  # a parameter of the test
    vars(third).pop("forward")
    found, other = written(second), written(third)  # a last digit may round to another byte
    assert played and (found - other).std() < 0.3 * (other - written(first)).std()


@pytest.mark.parametrize("kind", OTHERS)
def test_other_blocks_go_their_own_way(kind: str) -> None:
    first = model(OTHERS[kind])
    second = blocks.optimize(first, compile=False)
    assert plays.tape_of(second) is None and "forward" not in vars(second)
    assert not any("step" in line for line in second.prepared)
    close(written(second), written(first))


def test_positions_before_the_layers_and_many_steps() -> None:
    stem = Spec(LearnedPositions, rows=300)
    first = model(LAYERS["plain"], stem=stem, embedding=Spec(TokenEmbedding, scale=2.0))
    second, played = taped(first)
    options: dict[str, Any] = {"max_new_tokens": 270, "stop": ()}
    ragged: Any = [[1, 2, 3], [4, 5, 6, 7, 8, 9]]
    for text in ([[3, 1]], ragged):
        wanted = blocks.generate(first, text, **options)
        assert torch.equal(blocks.generate(second, text, **options), wanted)
    assert played.count(1) == played.count(2) == 269


def test_what_a_tape_is_not_for() -> None:
    first = model(LAYERS["plain"])
    second, played = taped(first)
    close(written(second, room=None), written(first, room=None))  # memories that grow
    many = TOKENS.repeat(20, 1)[:, :1]
    with torch.no_grad():
        states = [one.init_state(40, 4) for one in (first, second)]
        found, wanted = (one(many, None, s) for one, s in zip((second, first), states, strict=True))
    close(found, wanted)
    with pytest.raises(blocks.GenerationError, match="room"), torch.no_grad():
        second(many[:1], None, full := second.init_state(1, 1))
        second(many[:1], None, full)
    assert played == [1]


def test_whoever_listens_to_a_block_hears_it() -> None:
    second, played = taped(model(LAYERS["plain"]))
    heard: list[Any] = []
    handle = second.layers[1].mlp.inner.register_forward_hook(lambda *given: heard.append(given))
    wanted = written(second)
    assert len(heard) == 11 and not played
    handle.remove()
    close(written(second), wanted)
    assert len(heard) == 11 and len(played) == 10


@pytest.mark.parametrize("name", ("attention.inner.q", "attention.inner.out", "mlp.inner.gate"))
def test_whoever_changes_a_matrix_changes_the_step(name: str) -> None:
    first = model(LAYERS["plain"])
    second, plain = blocks.optimize(first, compile=False), written(first)
    close(written(second), plain)  # the tape is made
    for one in (first, second):
        part: Any = one.layers[1].get_submodule(name)
        part.register_forward_hook(lambda module, given, y: 0 * y)
    hooked = written(first)
    assert not torch.equal(hooked, plain)
    close(written(second), hooked)


def test_an_exchanged_tensor_or_part_is_played() -> None:
    first = model(LAYERS["plain"])
    second: Any = blocks.optimize(first, compile=False)
    wanted = written(second)
    for part in ("inner.down.weight", "inner"):
        for one in (first, second):
            *way, last = f"layers.0.mlp.{part}".split(".")
            owner: Any = one.get_submodule(".".join(way))
            old = getattr(owner, last)
            new = torch.nn.Parameter(-old.detach()) if last == "weight" else torch.nn.Identity()
            setattr(owner, last, new)
        assert not torch.allclose(written(first), wanted)
        close(written(second), wanted := written(first))
    assert vars(second)["forward"].tape is None  # of an Identity nobody has written one


def test_copies_and_other_dtypes() -> None:
    first = model(LAYERS["plain"])
    second = blocks.optimize(first, compile=False)
    wanted = written(first)
    other = copy.deepcopy(second)
    torch.nn.init.zeros_(other.layers[0].mlp.inner.down.weight)
    assert not torch.equal(written(other), wanted)
    close(written(second), wanted)
    close(written(second.double()).float(), wanted)
    close(written(second.float()), wanted)
    second.load_state_dict(other.state_dict())
    close(written(second), written(other))


def test_explain_and_the_model_tell_of_it() -> None:
    quick = blocks.optimize(model(LAYERS["plain"]))
    assert "a step of one token is one call of them, for up to 16 rows" in quick.prepared
    found = blocks.explain(quick)
    assert found.root.path == "taped step"


@pytest.mark.slow
@pytest.mark.parametrize("family", families("decoder"))
def test_every_decoder(family: str, tmp_path: Path) -> None:
    """Those whose layers can be played give the same numbers; the rest is left alone."""
    found = load(family, first(family), tmp_path)
    if not isinstance(found.ours, CausalLM):
        pytest.skip("writes no token by token")
    tokens, logits = found.tokens, []
    pieces = tokens.split([3] + [1] * (tokens.shape[1] - 3), 1)
    for one in (found.ours, blocks.optimize(found.ours, compile=False)):
        with torch.no_grad():
            state = one.init_state(len(tokens), tokens.shape[1])
            logits.append(torch.cat([one(part, None, state) for part in pieces], 1))
    assert (logits[0] - logits[1]).abs().max() < 1e-4 * logits[0].std()
