"""Spec: checked, frozen, comparable, nested, with addresses of its own."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from blocks import (
    MLP,
    Causal,
    CausalLM,
    Chain,
    Full,
    GatedMLP,
    GQAttention,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    SpecError,
    Window,
    replace,
    walk,
)


class Mine(nn.Module):
    """A user's own block without a star."""

    def __init__(self, dim: int, width: int = 3, rate: float = 0.5):
        super().__init__()
        self.lin = nn.Linear(dim, width)
        self.rate = rate


def plain(dim: int, *, hidden: int = 4) -> nn.Module:
    return nn.Linear(dim, hidden)


def refused(block: Any, **options: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        Spec(block, **options)
    return caught.value


def test_a_spec_builds_what_the_call_builds() -> None:
    made = Spec(GQAttention, heads=4, kv_heads=2)(16)
    assert type(made) is GQAttention and made.kv_heads == 2 and made.dim == 16


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    error = refused(GQAttention, heads=4, kv_head=2)
    assert error.field == "kv_head" and "'kv_heads'" in str(error) and "GQAttention" in str(error)
    assert "hidden, act, bias, dropout" in str(refused(GatedMLP, hidden=3, zzzz=1))


def test_a_missing_option_is_refused() -> None:
    error = refused(GQAttention)
    assert error.field == "heads" and "needs a value" in str(error)


def test_a_size_of_the_parent_is_no_option() -> None:
    assert refused(GQAttention, heads=4, dim=16).field == "dim"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("heads", 4.0),
        ("heads", "4"),
        ("heads", True),
        ("heads", None),
        ("bias", 1),
        ("scale", "small"),
        ("scale", True),
        ("scale", float("nan")),
        ("scale", 10**400),
        ("mask", 5),
        ("mask", Causal),
        ("qk", Spec(RoPE)),
        ("qk", (5,)),
        ("qk", None),
        ("dropout", None),
        ("dropout", [0.1]),
    ],
)
def test_a_wrong_type_is_refused(option: str, value: Any) -> None:
    error = refused(GQAttention, **{"heads": 4, option: value})
    assert error.field == f"GQAttention.{option}" and "GQAttention" in error.reason


@pytest.mark.parametrize("value", ["Silu", "swish", 1, None])
def test_a_value_outside_a_literal_is_refused(value: Any) -> None:
    assert "one of 'gelu'" in str(refused(MLP, hidden=4, act=value))


@pytest.mark.parametrize("value", [[("a", MLP)], {1: MLP}, {"": MLP}, MLP, {"a": 3}])
def test_a_mapping_of_slots_is_checked(value: Any) -> None:
    assert refused(Chain, steps=value).field == "Chain.steps"


@pytest.mark.parametrize("block", [3, "GQAttention", None, Spec(RMSNorm)])
def test_only_callables_make_a_spec(block: Any) -> None:
    with pytest.raises(SpecError, match="block class"):
        Spec(block)


def test_ints_become_floats_where_a_float_is_declared() -> None:
    spec = Spec(RMSNorm, eps=1)
    assert type(spec.keywords["eps"]) is float and spec == Spec(RMSNorm, eps=1.0)
    assert type(Spec(Mine, rate=2).keywords["rate"]) is float
    assert type(Spec(GQAttention, heads=4, scale=2).keywords["scale"]) is float


def test_lists_become_tuples_and_mappings_keep_their_order() -> None:
    assert Spec(GQAttention, heads=4, qk=[RoPE]) == Spec(GQAttention, heads=4, qk=(RoPE,))
    steps = {"b": MLP_, "a": RMSNorm}
    assert list(Spec(Chain, steps=steps).keywords["steps"]) == ["b", "a"]
    assert Spec(Chain, steps=steps) != Spec(Chain, steps=dict(reversed(steps.items())))


MLP_ = Spec(MLP, hidden=4)


def test_a_block_in_a_slot_of_other_sizes_is_refused() -> None:
    mlp = Spec(GatedMLP, hidden=8)
    with pytest.raises(SpecError, match=r"GatedMLP is built of sizes \(dim\), and .* \(16, 5\)"):
        mlp(16, 5)
    with pytest.raises(SpecError, match="GatedMLP is built of sizes"):
        CausalLM(vocab=5, dim=16, layers=(mlp,), norm=RMSNorm, head=mlp)


def test_a_mistake_inside_a_block_is_shown_as_it_is() -> None:
    def broken(dim: int) -> None:
        len(dim)  # pyright: ignore[reportArgumentType]  # the mistake

    with pytest.raises(TypeError, match="has no len"):
        Spec(broken)(16)


def test_a_bare_class_in_a_slot_becomes_a_spec_of_it() -> None:
    spec = Spec(Residual, inner=MLP_, norm_in=RMSNorm)
    assert spec.keywords["norm_in"] == Spec(RMSNorm)
    assert spec == Spec(Residual, inner=MLP_, norm_in=Spec(RMSNorm))
    assert Spec(GQAttention, heads=2, qk=(RoPE,)).keywords["qk"] == (Spec(RoPE),)
    assert Spec(Chain, steps={"n": RMSNorm}).keywords["steps"]["n"] == Spec(RMSNorm)
    with pytest.raises(SpecError, match="needs a value for 'hidden'"):
        Spec(Residual, inner=MLP)


def test_functions_and_users_classes_are_blocks_too() -> None:
    assert Spec(plain, hidden=5)(3).weight.shape == (5, 3)
    assert Spec(Mine, width=7)(3).lin.weight.shape == (7, 3)
    assert set(Spec(Mine).keywords) == {"width", "rate"}, "dim has no default: the parent gives it"
    assert Spec(Residual, inner=plain)(4)(torch.randn(1, 2, 4)).shape == (1, 2, 4)
    assert Spec(nn.Linear, out_features=3)(5).weight.shape == (3, 5)


def test_defaults_are_resolved_and_can_be_read() -> None:
    keywords = Spec(GatedMLP, hidden=8).keywords
    assert dict(keywords) == {"hidden": 8, "act": "silu", "bias": False, "dropout": 0.0}
    assert isinstance(keywords, Mapping)


def test_a_spec_is_frozen() -> None:
    spec = Spec(Chain, steps={"mlp": MLP_})
    with pytest.raises(SpecError, match="replace"):
        spec.func = MLP
    with pytest.raises(TypeError):
        spec.keywords["steps"] = {}
    with pytest.raises(TypeError):
        spec.keywords["steps"]["mlp"] = None
    with pytest.raises((SpecError, AttributeError)):
        spec.new = 1
    with pytest.raises((SpecError, AttributeError, TypeError)):
        del spec.func


def test_what_was_passed_in_may_change_afterwards() -> None:
    steps = {"mlp": MLP_}
    spec = Spec(Chain, steps=steps)
    steps["norm"] = RMSNorm
    assert list(spec.keywords["steps"]) == ["mlp"]


def test_equality_and_hash() -> None:
    a, b = Spec(GQAttention, heads=4, mask=Window(3)), Spec(GQAttention, mask=Window(3), heads=4)
    assert a == b and hash(a) == hash(b) and len({a, b}) == 1
    assert a != Spec(GQAttention, heads=4, mask=Window(4)) and a != Spec(GQAttention, heads=4)
    assert Spec(MLP, hidden=4) != Spec(GatedMLP, hidden=4)
    assert a != "Spec" and (a == 3) is False


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies_are_equal(copied: Any) -> None:
    spec = Spec(Chain, steps={"a": Spec(GQAttention, heads=2, qk=(RoPE,), mask=Full() & Window(2))})
    assert copied(spec) == spec and hash(copied(spec)) == hash(spec)


def test_printing_shows_what_was_set_and_folds_what_repeats() -> None:
    assert repr(Spec(MLP, hidden=4, bias=True)) == "Spec(MLP, hidden=4)"
    parts = (Spec(RoPE),) * 3 + (Spec(RoPE, theta=2.0),)
    shown = repr(Spec(GQAttention, heads=2, qk=parts))
    assert "(Spec(RoPE),) * 3 + (Spec(RoPE, theta=2.0),)" in shown
    names = {"Spec": Spec, "RoPE": RoPE, "GQAttention": GQAttention}
    assert eval(shown, names).keywords["qk"] == parts


def test_replace_is_checked_like_any_spec() -> None:
    spec = Spec(GQAttention, heads=4)
    assert replace(spec, kv_heads=2) == Spec(GQAttention, heads=4, kv_heads=2)
    assert spec.keywords["kv_heads"] is None
    with pytest.raises(SpecError, match="kv_heads"):
        replace(spec, kv_head=2)


def test_colliding_addresses_are_refused() -> None:
    step = Spec(Chain, steps={"norm_in": MLP_})
    with pytest.raises(SpecError, match="address 'norm_in'"):
        Spec(Residual, inner=step, norm_in=RMSNorm)
    with pytest.raises(SpecError, match="address 'norm_in'"):
        Spec(Residual, inner=Spec(Residual, inner=MLP_, norm_in=RMSNorm), norm_in=RMSNorm)
    Spec(Residual, inner=Spec(Residual, inner=MLP_, norm_in=RMSNorm), norm_out=RMSNorm)


@pytest.mark.parametrize("name", ["a.b", "forward", "training", "weight.", "0.1"])
def test_names_that_no_module_can_have_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match="can't be the name"):
        Spec(Chain, steps={name: MLP_})(4)


def test_the_same_spec_builds_independent_modules() -> None:
    spec = Spec(Chain, steps={"a": MLP_, "b": MLP_})
    chain = spec(4)
    assert chain.a.up.weight is not chain.b.up.weight
    assert [address for address, _ in walk(spec)] == ["", "a", "b"]
