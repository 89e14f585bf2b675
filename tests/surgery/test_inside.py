"""capture, patch and ablate: what they see and change, in which calls, and that nothing stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import blocks
from blocks import BlocksError, Chain, GatedMLP, GQAttention, Mamba, Residual, RMSNorm, Spec
from blocks.attention.mask import Full, Window

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]])


def normed(inner: Spec[Any], **more: Any) -> Spec[Any]:
    return Spec(Residual, inner=inner, norm_in=RMSNorm, **more)


def layer(mixer: Spec[Any], name: str = "attention") -> Spec[Any]:
    return Spec(Chain, steps={name: normed(mixer), "mlp": normed(Spec(GatedMLP, hidden=12))})


ATTENTION = Spec(GQAttention, heads=4, kv_heads=2, qk=(Spec(blocks.RoPE),))


def model_of(*layers: Spec[Any], **more: Any) -> Any:
    torch.manual_seed(0)
    model = blocks.CausalLM(vocab=20, dim=16, layers=layers, norm=RMSNorm, **more).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture(scope="module")
def hybrid() -> Any:
    """Attention, a ring of a window, and a recurrence."""
    window = blocks.replace(ATTENTION, mask=Window(3))
    return model_of(layer(ATTENTION), layer(window), layer(Spec(Mamba), "mixer"))


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_what_is_seen_adds_up(hybrid: Any) -> None:
    with blocks.capture(hybrid, "layers.0.**") as got:
        logits = hybrid(TOKENS)

    def here(part: str) -> Tensor:
        return got[f"layers.0.attention.{part}"]

    q, k, v = here("q"), *(here(part).repeat_interleave(2, 1) for part in "kv")
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    scores = (q @ k.mT / 2).masked_fill(~causal, -torch.inf)  # heads of 4
    torch.testing.assert_close(here("pattern"), scores.softmax(-1))
    torch.testing.assert_close(here("heads"), here("pattern") @ v)
    block = hybrid.layers[0].attention.inner
    assert torch.equal(here("out"), block.out(here("heads").transpose(1, 2).flatten(2)))
    assert torch.equal(here("after"), here("before") + here("out"))
    mlp = hybrid.layers[0].mlp.inner
    assert torch.equal(got["layers.0.mlp.out"], mlp.down(got["layers.0.mlp.hidden"]))
    assert torch.equal(got["layers.0.before"], here("before"))
    assert torch.equal(got["layers.0.after"], got["layers.0.mlp.after"])
    for name, x in got.items():  # gradients flow through all that is seen
        (slope,) = torch.autograd.grad(logits.square().sum(), x, retain_graph=True)
        assert slope.any(), name


def test_detached(hybrid: Any) -> None:
    with blocks.capture(hybrid, "layers.0.after", detach=True) as got:
        hybrid(TOKENS)
    assert not got["layers.0.after"].requires_grad


def test_qk_is_seen_turned(hybrid: Any) -> None:
    with blocks.capture(hybrid, "layers.0.attention.*") as got:
        hybrid(TOKENS)
    block, x = hybrid.layers[0].attention.inner, got["layers.0.attention.in"]
    q, k = (part(x).unflatten(-1, (-1, 4)).transpose(1, 2) for part in (block.q, block.k))
    assert torch.equal(got["layers.0.attention.q"], block.qk[0](q, k, blocks.Step.plain(x))[0])
    assert not torch.equal(got["layers.0.attention.q"], q)


def test_several_calls_and_their_state(hybrid: Any) -> None:
    names = ("layers.0.attention.pattern", "layers.1.attention.k", "layers.2.mixer.dt")
    state = hybrid.init_state(2)
    with torch.no_grad(), blocks.capture(hybrid, *names, every=True) as got:
        for part in TOKENS.split([3, 1, 2], 1):
            hybrid(part, state=state)
    with torch.no_grad(), blocks.capture(hybrid, *names) as whole:
        hybrid(TOKENS)
    assert [list(p.shape) for p in got[names[0]]] == [[2, 4, 3, 3], [2, 4, 1, 4], [2, 4, 2, 6]]
    for rows, pattern in zip(whole[names[0]].split([3, 1, 2], 2), got[names[0]], strict=True):
        torch.testing.assert_close(pattern, rows[..., : pattern.shape[-1]])
    torch.testing.assert_close(torch.cat(got[names[2]], 1), whole[names[2]])
    ring = got[names[1]]  # of each call its own, though the ring has been written over
    torch.testing.assert_close(ring[0], whole[names[1]][:, :, :3])
    assert ring[1].shape[2] == 3 and got.calls == dict.fromkeys(names, 3)
    assert "3" in str(got) and "explicit path" in str(got)


def test_generate_keeps_the_newest(hybrid: Any) -> None:
    with blocks.capture(hybrid, "layers.0.attention.pattern") as got:
        blocks.generate(hybrid, TOKENS, max_new_tokens=4, stop=())
    assert got["layers.0.attention.pattern"].shape == (2, 4, 1, 9)


def test_padding_is_not_looked_at(hybrid: Any) -> None:
    mask = torch.ones_like(TOKENS, dtype=torch.bool)
    mask[0, :2] = False
    name = "layers.*.attention.pattern", "layers.2.mixer.u"
    with torch.no_grad(), blocks.capture(hybrid, *name) as got:
        hybrid(TOKENS, mask)
    with torch.no_grad(), blocks.capture(hybrid, *name) as alone:
        hybrid(TOKENS[:1, 2:])
    for one, pattern in got.items():
        cut = pattern[:1, :, 2:, 2:] if one.endswith("pattern") else pattern[:1, 2:]
        torch.testing.assert_close(cut, alone[one])


def test_a_patch_acts_and_is_seen(hybrid: Any) -> None:
    plain = hybrid(TOKENS)
    zero = {"layers.0.attention.pattern": torch.zeros(())}
    with blocks.capture(hybrid, "layers.0.attention.*") as got, blocks.patch(hybrid, zero):
        changed = hybrid(TOKENS)
    assert not got["layers.0.attention.pattern"].any() and not got["layers.0.attention.out"].any()
    with blocks.ablate(hybrid, "layers.0.attention"):
        assert torch.equal(hybrid(TOKENS), changed)
    twice = {"layers.0.mlp.out": lambda x: 2 * x}
    with blocks.patch(hybrid, twice), blocks.patch(hybrid, {"layers.0.mlp.out": lambda x: x / 2}):
        assert torch.equal(hybrid(TOKENS), plain)
    assert torch.equal(hybrid(TOKENS), plain) and not hooks(hybrid)


@pytest.mark.parametrize("part", ["q", "k", "v", "pattern", "heads", "in", "out", "before"])
def test_every_part_can_be_patched(hybrid: Any, part: str) -> None:
    """What another text made of them makes the block say what it said there."""
    name, other = f"layers.0.attention.{part}", TOKENS.flip(1)
    with blocks.capture(hybrid, f"layers.0.attention.{part}") as got:
        hybrid(other)
    with blocks.patch(hybrid, {name: got[name]}), blocks.capture(hybrid, "**.out") as there:
        hybrid(TOKENS)
    with blocks.capture(hybrid, "**.out") as plain:
        hybrid(TOKENS)
    assert not torch.equal(there["layers.0.attention.out"], plain["layers.0.attention.out"])
    if part in ("in", "out", "before", "heads"):
        with blocks.capture(hybrid, "**.out") as away:
            hybrid(other)
        assert torch.equal(there["layers.0.attention.out"], away["layers.0.attention.out"])


@pytest.mark.parametrize("part", ["u", "dt", "b", "c"])
def test_a_recurrence_can_be_patched(hybrid: Any, part: str) -> None:
    with blocks.patch(hybrid, {f"layers.2.mixer.{part}": lambda x: x * 0.5}):
        changed = hybrid(TOKENS)
    assert not torch.equal(hybrid(TOKENS), changed)


def test_a_head_without_its_columns(hybrid: Any) -> None:
    with blocks.ablate(hybrid, "layers.0.attention", heads=[1, 3]):
        without = hybrid(TOKENS)
    weight = hybrid.layers[0].attention.inner.out.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.view(16, 4, 4)[:, [1, 3]] = 0
    torch.testing.assert_close(hybrid(TOKENS), without)
    with torch.no_grad():
        weight.copy_(kept)


def test_means_of_this_call_and_of_others(hybrid: Any) -> None:
    with blocks.capture(hybrid, "layers.0.attention.heads", every=True) as got:
        hybrid(TOKENS)
        hybrid(TOKENS[:1, :2])
    name = "layers.0.attention.heads"
    flat = torch.cat([x.transpose(1, 2).flatten(0, 1) for x in got[name]])  # N H V
    with (
        blocks.capture(hybrid, name) as seen,
        blocks.ablate(hybrid, "layers.0.attention", heads=[2], to=got),
    ):
        hybrid(TOKENS)
    torch.testing.assert_close(seen[name][0, 2, 4], flat.mean(0)[2])
    torch.testing.assert_close(seen[name][:, :2], got[name][0][:, :2])
    with (
        blocks.capture(hybrid, "layers.0.mlp.out") as seen,
        blocks.ablate(hybrid, "layers.*.mlp", to="mean"),
    ):
        hybrid(TOKENS)
    assert torch.equal(seen["layers.0.mlp.out"][0, 0], seen["layers.0.mlp.out"][1, 5])


def test_routing_is_seen_and_changed() -> None:
    moe = Spec(blocks.MoE, experts=4, top_k=2, expert=Spec(GatedMLP, hidden=8))
    model = model_of(Spec(Chain, steps={"attention": normed(ATTENTION), "mlp": normed(moe)}))
    with blocks.capture(model, "layers.0.mlp.*") as got:
        plain = model(TOKENS)
    routing = got["layers.0.mlp.routing"]
    block, x = model.layers[0].mlp.inner, got["layers.0.mlp.in"]
    weights, chosen = block.router(x.flatten(0, 1))
    assert torch.equal(routing.flatten(0, 1).gather(1, chosen), weights)
    assert ((routing != 0).sum(-1) == 2).all()
    every = sum(routing[..., i, None] * expert(x) for i, expert in enumerate(block.experts))
    torch.testing.assert_close(got["layers.0.mlp.out"], every)
    with blocks.patch(model, {"layers.0.mlp.routing": routing}):
        assert torch.equal(model(TOKENS), plain)
    with (
        blocks.patch(model, {"layers.0.mlp.routing": torch.full((4,), 0.25)}),
        blocks.capture(model, "layers.0.mlp.out") as got,
    ):
        model(TOKENS)
    mean = sum(expert(x) for expert in block.experts) / 4
    torch.testing.assert_close(got["layers.0.mlp.out"], mean)


def test_shared_layers_are_told_apart() -> None:
    ties = (("layers.1", "layers.0"), ("layers.2", "layers.0"))
    model = model_of(*[layer(ATTENTION)] * 3, ties=ties)
    with blocks.capture(model, "layers.*.*fter", every=True) as got:
        model(TOKENS)
        model(TOKENS)
    assert [len(got[f"layers.{i}.after"]) for i in range(3)] == [2] * 3
    x = got["layers.0.after"][0]
    assert torch.equal(model.layers[1](x, blocks.Step.plain(x)), got["layers.1.after"][1])
    with blocks.ablate(model, "layers.1.mlp"), blocks.capture(model, "layers.*.mlp.out") as got:
        model(TOKENS)
    assert [bool(x.any()) for x in got.values()] == [True, False, True]


def test_checkpointed_layers_are_seen_once() -> None:
    model = model_of(*[Spec(blocks.Checkpointed, inner=layer(ATTENTION))] * 2)
    double = {"layers.0.attention.out": lambda x: 2 * x}
    with blocks.patch(model, double):
        loss = model(TOKENS).square().sum()
    loss.backward()  # when the hooks are gone
    found = model.layers[0].inner.mlp.inner.up.weight.grad.clone()
    model.zero_grad()
    with blocks.patch(model, double), blocks.capture(model, "layers.1.after") as got:
        model(TOKENS).square().sum().backward()
    assert torch.equal(model.layers[0].inner.mlp.inner.up.weight.grad, found)
    assert got.calls == {"layers.1.after": 1}


def test_an_error_leaves_nothing_behind(hybrid: Any) -> None:
    change = {"layers.2.mlp.out": _fails}
    with (
        pytest.raises(RuntimeError, match="on the way"),
        blocks.capture(hybrid, "**"),
        blocks.patch(hybrid, change),
    ):
        hybrid(TOKENS)
    assert not hooks(hybrid)
    with blocks.capture(hybrid, "layers.0.attention.pattern") as got:
        with pytest.raises(BlocksError):
            hybrid(TOKENS + 100)
        hybrid(TOKENS)
    assert got.calls == {"layers.0.attention.pattern": 1}


def _fails(x: Tensor) -> Tensor:
    raise RuntimeError("on the way")


def test_blocks_alone() -> None:
    attention, x = GQAttention(16, heads=2, mask=Full()), torch.randn(1, 3, 16)
    with blocks.capture(attention, "pattern", "in") as got:
        attention(x=x)
    assert got["pattern"].shape == (1, 2, 3, 3) and got["in"] is x


BAD: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a pattern of an MLP": (
        lambda m: blocks.capture(m, "layers.0.mlp.pattern"),
        "GatedMLP, which has no pattern. Hint: it has before, in, hidden, out, after",
    ),
    "a pattern of a recurrence": (
        lambda m: blocks.capture(m, "layers.2.mixer.pattern"),
        "layers.2.mixer is a Mamba, which has no pattern. Hint: it has before, in, u, dt, b, c,",
    ),
    "a block": (lambda m: blocks.capture(m, "layers.0.mlp"), "is a GatedMLP; say what of it"),
    "nothing like it": (lambda m: blocks.capture(m, "layer.0.mlp.out"), "layers.0.mlp.out"),
    "no name": (lambda m: blocks.capture(m), "names nothing to look at"),
    "a number": (lambda m: blocks.capture(m, 3), "a name is text, not a int"),
    "a Spec": (lambda m: blocks.capture(m.spec, "**"), "is no model or block"),
    "another shape": (
        lambda m: blocks.patch(m, {"layers.0.mlp.out": torch.zeros(5)}),
        "layers.0.mlp.out: is [2, 6, 16], not [5]",
    ),
    "another dtype": (
        lambda m: blocks.patch(m, {"layers.0.mlp.out": torch.zeros((), dtype=torch.half)}),
        "is torch.float32 on cpu, not torch.float16",
    ),
    "no tensor": (lambda m: blocks.patch(m, {"layers.0.mlp.out": 3}), "a tensor or a function"),
    "a function of no tensor": (
        lambda m: blocks.patch(m, {"layers.0.mlp.out": lambda x: None}),
        "became a NoneType",
    ),
    "no dict": (lambda m: blocks.patch(m, "layers.0.mlp.out"), "is a str, not a dict"),
    "no change": (lambda m: blocks.patch(m, {}), "nothing is to be changed"),
    "a ninth head": (
        lambda m: blocks.ablate(m, "layers.0.attention", heads=[9]),
        "layers.0.attention has heads 0 … 3, not 9",
    ),
    "heads of an MLP": (lambda m: blocks.ablate(m, "layers.0.mlp", heads=[0]), "has no heads"),
    "heads of keys": (
        lambda m: blocks.ablate(m, "layers.0.attention.k", heads=[0]),
        "no axis of query heads",
    ),
    "no part": (lambda m: blocks.ablate(m), "names nothing to leave out"),
    "a whole layer": (lambda m: blocks.ablate(m, "layers.0"), "a Chain, which has no out"),
    "to one": (lambda m: blocks.ablate(m, "layers.0.mlp", to="one"), "is not zero, mean"),
    "to other names": (
        lambda m: blocks.ablate(m, "layers.0.mlp", to={}),
        "holds nothing of layers.0.mlp.out",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(hybrid: Any, case: str) -> None:
    look, words = BAD[case]
    plain = hybrid(TOKENS)
    with pytest.raises(BlocksError) as error, look(hybrid):
        hybrid(TOKENS)
    assert words in str(error.value)
    assert torch.equal(hybrid(TOKENS), plain) and not hooks(hybrid)


def test_names_that_were_never_met(hybrid: Any) -> None:
    with blocks.capture(hybrid, "layers.0.after") as got:
        pass
    assert "layers.0.after" not in got
    with pytest.raises(BlocksError, match="the model never came there"):
        got["layers.0.after"]
    with pytest.raises(BlocksError, match="was not captured"):
        got["layers.1.after"]
    never = pytest.raises(BlocksError, match="the model never came there")
    with never, blocks.ablate(hybrid, "layers.0.mlp"):
        pass
