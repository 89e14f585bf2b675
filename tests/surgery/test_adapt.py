"""Adapters added, trained, packed, merged and refused, without a reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import blocks
from blocks import (
    CausalConv,
    CausalLM,
    Chain,
    DoRA,
    GatedMLP,
    GQAttention,
    LoRA,
    Mamba,
    MoE,
    Residual,
    RMSNorm,
    Spec,
    SpecError,
    TokenEmbedding,
    add_adapter,
    merge_adapter,
    rewrite,
    trainable,
)
from blocks.models.packing import packed_matrices
from blocks.models.places import addresses, find
from blocks.wiring.added import dense

TOKENS = torch.randint(1, 49, (2, 8), generator=torch.Generator().manual_seed(1))
TIED = (("head.weight", "embedding.weight"),)


def layer(**more: Spec) -> Spec:
    steps = {"attention": Spec(GQAttention, heads=4, kv_heads=2, bias=True)}
    steps |= {"mlp": Spec(GatedMLP, hidden=64)} | more
    return Spec(
        Chain, steps={n: Spec(Residual, inner=s, norm_in=RMSNorm) for n, s in steps.items()}
    )


def model(ties: Any = TIED, **more: Spec) -> CausalLM:
    made = CausalLM(vocab=50, dim=64, layers=(layer(**more),) * 2, norm=RMSNorm, ties=ties)
    with torch.no_grad():
        for p in made.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    return made.eval()


def drawn(adapted: Any) -> Any:
    with torch.no_grad():
        for p in trainable(adapted).values():
            p.add_(torch.randn_like(p) * 0.3)
    return adapted


def logits(one: Any) -> Tensor:
    with torch.no_grad():
        return one(TOKENS)


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-4 * float(b.std()))


@pytest.mark.parametrize("kind", ["LoRA", "DoRA"])
@pytest.mark.parametrize("on", [("q", "out"), ("mlp.*", "head"), ("layers.1.mlp.down",)])
def test_an_adapter_starts_as_nothing_and_merges_as_itself(kind: Any, on: tuple[str, ...]) -> None:
    base = model()
    before = {address: tensor.clone() for address, tensor in addresses(base).items()}
    adapted = add_adapter(base, on, rank=3, kind=kind)
    assert close(logits(adapted), logits(base))
    drawn(adapted)
    assert not torch.allclose(logits(adapted), logits(base), atol=0.05)
    merged = merge_adapter(adapted)
    assert close(logits(merged), logits(adapted))
    assert all(torch.equal(t, before[a]) for a, t in addresses(base).items()), "not the base's bits"
    assert blocks.replace(merged.spec, ties=()) == blocks.replace(base.spec, ties=())
    tied = merged.head.weight is merged.embedding.weight
    assert tied == ("head" not in on), "a head that has learnt is no table any more"


def test_what_trains_is_told_and_nothing_else_gets_a_gradient() -> None:
    base = model()
    adapted = add_adapter(base, ("q",), rank=2, train=("norm", "layers.*.attention.q.bias"))
    names = [
        f"layers.{i}.attention.q.{n}" for i in (0, 1) for n in ("bias", "a.weight", "b.weight")
    ]
    assert sorted(trainable(adapted)) == sorted([*names, "norm.weight"])
    assert adapted.norm.weight is not base.norm.weight
    optimiser = torch.optim.Adam(trainable(adapted).values(), lr=0.02)
    losses = []
    for _ in range(12):
        loss = blocks.next_token_loss(adapted, TOKENS)
        loss.backward()
        got = {a for a, p in addresses(adapted).items() if p.grad is not None}
        assert got == set(trainable(adapted))
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_a_head_with_an_adapter_learns_without_logits_in_memory() -> None:
    adapted = drawn(add_adapter(model(), ("head",), rank=2))
    loss = blocks.next_token_loss(adapted, TOKENS)
    wanted = F.cross_entropy(adapted(TOKENS)[:, :-1].flatten(0, 1), TOKENS[:, 1:].flatten())
    assert torch.allclose(loss, wanted, rtol=1e-4)


def test_dropout_is_of_training_alone() -> None:
    adapted = drawn(add_adapter(model(), rank=4, dropout=0.5))
    assert torch.equal(logits(adapted), logits(adapted))
    adapted.train()
    assert not torch.equal(logits(adapted), logits(adapted))


@pytest.mark.parametrize("quantize", ["int8", "int4"])
@pytest.mark.filterwarnings("ignore:without")  # kernels, where there is no compiler
def test_packed_matrices_have_adapters_too(quantize: Any, tmp_path: Any) -> None:
    packed = blocks.optimize(model(), quantize=quantize, compile=False)
    adapted = drawn(add_adapter(packed, ("q", "up", "head"), rank=3))
    assert packed_matrices(adapted) == packed_matrices(packed)
    held, matrices = addresses(adapted), packed_matrices(adapted)
    plain = blocks.replace(packed.spec, ties=())().eval()
    with torch.no_grad():  # what the packed numbers stand for, with the same sums
        for address, tensor in addresses(plain).items():
            home, _, kind = address.rpartition(".")
            w = (
                dense(find(adapted, home))
                if kind == "weight" and home in matrices
                else held[address]
            )
            if kind == "weight" and f"{home}.a.weight" in held:
                w = w + 2.0 * held[f"{home}.b.weight"] @ held[f"{home}.a.weight"]
            tensor.copy_(w)
    assert close(logits(adapted), logits(plain))
    with pytest.raises(SpecError, match=r"is packed.*before it was packed"):
        merge_adapter(adapted)
    blocks.save_pretrained(adapted, tmp_path)
    again = blocks.from_pretrained(tmp_path)
    assert torch.equal(logits(again), logits(adapted)) and again.spec == adapted.spec
    assert list(trainable(again)) == list(trainable(adapted))


@pytest.mark.filterwarnings("ignore:without")
def test_optimize_packs_what_an_adapter_is_of_and_leaves_it() -> None:
    adapted = drawn(add_adapter(model(), ("q", "up"), rank=3))
    quick = blocks.optimize(adapted, quantize="int8", compile=False)
    assert {"layers.0.attention.q", "layers.1.mlp.up"} <= packed_matrices(quick).keys()
    for address, tensor in addresses(adapted).items():
        if address.endswith((".a.weight", ".b.weight")):
            assert addresses(quick)[address] is tensor
    assert (logits(quick) - logits(adapted)).abs().max() < 0.1 * logits(adapted).std()
    assert torch.equal(
        blocks.generate(adapted, TOKENS, max_new_tokens=4, stop=()),
        blocks.generate(blocks.optimize(adapted, compile=False), TOKENS, max_new_tokens=4, stop=()),
    )


def test_experts_mixers_and_steps_have_adapters() -> None:
    moe = Spec(MoE, expert=Spec(GatedMLP, hidden=16), experts=3, top_k=2)
    base = model(ssm=Spec(Mamba, state_dim=4), moe=moe)
    adapted = add_adapter(base, ("experts.*.up", "experts.2.down", "dt", "embedding"), rank=2)
    names = blocks.at(adapted.spec, "layers.0.moe")
    assert names.func is MoE and "layers.0.moe.experts.1.up.a.weight" in trainable(adapted)
    on = {p.keywords["on"] for a, p in blocks.walk(adapted.spec) if p.func is LoRA}
    assert on == {("experts.*.up", "experts.2.down"), ("dt",), ("",)}
    drawn(adapted)
    assert close(logits(merge_adapter(adapted)), logits(adapted))
    whole = logits(adapted)
    state = adapted.init_state(2, 16)
    with torch.no_grad():
        parts = [adapted(part, state=state) for part in TOKENS.split([5, 1, 2], 1)]
    assert close(torch.cat(parts, 1), whole)


def test_layers_that_are_one_share_an_adapter(tmp_path: Any) -> None:
    base = model(ties=(("layers.1", "layers.0"),))
    adapted = drawn(add_adapter(base, ("q",), rank=2))
    assert adapted.layers[0] is adapted.layers[1] and "layers.1.attention.q.a.weight" in trainable(
        adapted
    )
    assert close(logits(merge_adapter(adapted)), logits(adapted))
    blocks.save_pretrained(adapted, tmp_path)
    assert torch.equal(logits(blocks.from_pretrained(tmp_path)), logits(adapted))


def test_a_lora_that_becomes_a_dora_computes_the_same() -> None:
    adapted = drawn(add_adapter(model(), ("q",), rank=2))
    turned, _ = blocks.swap(
        adapted, "", lambda spec: rewrite(spec, LoRA, lambda old: Spec(DoRA, **old.keywords))
    )
    assert close(logits(turned), logits(adapted))


def test_factors_can_be_packed() -> None:
    thin, _ = blocks.factorise(model(), ("q", "up"), rank=4)
    assert all(tensor.is_contiguous() for tensor in thin.parameters())


@pytest.mark.parametrize("place", ["layers.0.attention.q", "layers.1.attention.q"])
def test_any_of_its_places_names_a_layer_that_is_one(place: str) -> None:
    base = model(ties=(("layers.1", "layers.0"),))
    adapted = drawn(add_adapter(base, (place,), rank=2))
    assert not close(logits(adapted), logits(base))
    assert close(logits(merge_adapter(adapted)), logits(adapted))
    thin, report = blocks.factorise(base, (place,), rank=2)
    assert not close(logits(thin), logits(base)) and report.matrices[0].rank == 2


@pytest.mark.parametrize("kind", [LoRA, DoRA])
def test_a_rewrite_adds_one_while_it_loads(kind: Any, tmp_path: Any) -> None:
    base = model()
    blocks.save_pretrained(base, tmp_path)

    def add(spec: Any) -> Any:
        wrapped = lambda inner: Spec(kind, inner=inner, on=("q", "v"), rank=2)  # noqa: E731
        return rewrite(spec, "layers.*.attention", wrapped)

    found = blocks.from_pretrained(tmp_path, rewrite=add)
    assert close(logits(found), logits(base))
    assert all(".attention." in address for address in trainable(found))


def test_a_second_adapter_is_beside_the_first() -> None:
    adapted = drawn(add_adapter(model(), ("q",), rank=2))
    both = drawn(add_adapter(adapted, ("v", "up"), rank=3, kind="DoRA"))
    assert len(trainable(both)) == 2 * 2 + 4 * 3
    assert close(logits(merge_adapter(both)), logits(both))


WRONG: dict[str, tuple[Any, str]] = {
    "no such matrix": (lambda m: add_adapter(m, ("querry",)), r"is 'querry'.*known: .*q, k"),
    "nearest": (lambda m: add_adapter(m, ("layers.0.attention.qq",)), "layers.0.attention.q"),
    "a block": (lambda m: add_adapter(m, ("attention",)), "no matrix is 'attention'"),
    "a convolution": (lambda m: add_adapter(m, ("conv",)), "no matrix is 'conv'"),
    "nothing": (lambda m: add_adapter(m, ()), "names no matrix"),
    "twice": (lambda m: add_adapter(add_adapter(m, ("q",)), ("q",)), "has an adapter already"),
    "rank": (lambda m: add_adapter(m, rank=0), "rank"),
    "kind": (lambda m: add_adapter(m, kind="Lora"), "'Lora' is no kind.*LoRA, DoRA"),
    "a word": (lambda m: add_adapter(m, rank="4"), "'4' is no whole number"),
    "no names": (lambda m: add_adapter(m, None), "takes texts, not None"),
    "no list": (lambda m: add_adapter(m, train=3), "takes texts, not 3"),
    "dtype": (lambda m: add_adapter(m, dtype=torch.int8), "torch.int8 is no torch.dtype of floats"),
    "half a rank": (lambda m: blocks.factorise(m, ("q",), rank=1.5), "whole number"),
    "alpha": (lambda m: add_adapter(m, alpha=float("nan")), "alpha"),
    "train": (lambda m: add_adapter(m, train=("nrm.weight",)), "no parameter.*norm.weight"),
    "lengths of rows": (lambda m: add_adapter(m, ("embedding",), kind="DoRA"), "table of tokens"),
    "no adapter": (merge_adapter, "has no adapter"),
    "no model": (lambda m: add_adapter(m.norm), "has no spec"),
    "rank and energy": (lambda m: blocks.factorise(m, rank=1, energy=0.5), "either"),
    "neither": (lambda m: blocks.factorise(m), "either"),
    "too high": (lambda m: blocks.factorise(m, ("q",), rank=65), "rank 65 is above 64"),
    "energy": (lambda m: blocks.factorise(m, energy=0.0), "energy"),
    "adapted": (lambda m: blocks.factorise(add_adapter(m), rank=1), "merge_adapter first"),
    "a head": (lambda m: blocks.factorise(m, ("head",), rank=1), "no matrix is 'head'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_can_t_be_is_said_and_the_model_untouched(case: str) -> None:
    call, words = WRONG[case]
    base = model(conv=Spec(CausalConv, kernel=2))
    spec, before = base.spec, logits(base)
    with pytest.raises(blocks.BlocksError, match=words):
        call(base)
    assert base.spec is spec and torch.equal(logits(base), before)
    assert all(p.requires_grad for p in base.parameters())


def test_a_table_reads_rows_of_its_adapter() -> None:
    block = LoRA(50, 8, inner=TokenEmbedding, on=("",), rank=2, scale=0.5)
    torch.nn.init.normal_(block.inner.b.weight)
    found = block(TOKENS)
    assert torch.allclose(found, F.embedding(TOKENS, block.inner.weight), atol=1e-5)


@pytest.mark.filterwarnings("ignore:without")
@pytest.mark.parametrize("on", [("q",), ("q", "head")])
def test_adapters_learn_on_packed_matrices(on: tuple[str, ...]) -> None:
    adapted = add_adapter(blocks.optimize(model(), quantize="int8", compile=False), on, rank=2)
    loss = blocks.next_token_loss(adapted, TOKENS)
    each = adapted(TOKENS)[:, :-1].flatten(0, 1)
    assert torch.allclose(loss, F.cross_entropy(each, TOKENS[:, 1:].flatten()), rtol=1e-3)
    loss.backward()
    assert all(p.grad is not None for p in trainable(adapted).values())
