"""capture: what it sees, in which calls, and what it says of bad names; nothing stays behind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import BlocksError, GQAttention
from blocks.attention.mask import Full
from tests.surgery.hybrids import ATTENTION, TOKENS, hooks, hybrid_model, layer, model_of


@pytest.fixture(scope="module")
def hybrid() -> Any:
    return hybrid_model()


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


def test_a_copy_is_not_looked_into(hybrid: Any) -> None:
    plain = hybrid(TOKENS)
    with blocks.ablate(hybrid, "layers.0.mlp"):
        twin = copy.deepcopy(hybrid)
        assert not torch.equal(hybrid(TOKENS), plain)
        torch.testing.assert_close(twin(TOKENS), plain)
    torch.testing.assert_close(twin(TOKENS), plain)


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
    "no list of heads": (
        lambda m: blocks.ablate(m, "layers.0.attention", heads=0),
        "are whole numbers, not 0",
    ),
    "an empty list": (lambda m: blocks.ablate(m, "layers.0.attention", heads=[]), "not []"),
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
