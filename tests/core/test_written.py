"""Specs as JSON: every value, only public names or those handed in, nothing ever imported."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import blocks
from blocks import (
    MLP,
    Causal,
    Chain,
    Full,
    GatedMLP,
    GQAttention,
    LongRoPEScaling,
    Residual,
    RMSNorm,
    RoPE,
    Spec,
    SpecError,
    Window,
    from_json,
    to_json,
)


class Mine(nn.Module):
    """A user's own block."""

    def __init__(self, dim: int, *, bound: float = 1.0):
        super().__init__()
        self.bound = bound


@dataclass(frozen=True)
class MyMask(Causal):
    """A user's own value."""

    gap: int = 2


def through(spec: Any, **options: Any) -> Any:
    text = json.dumps(to_json(spec), allow_nan=False)
    again = from_json(json.loads(text), **options)
    assert again == spec and json.dumps(to_json(again)) == text
    return again


def test_nested_specs_come_back() -> None:
    scaling = LongRoPEScaling((1.0,) * 4, (2.0,) * 4, trained=64)
    attention = Spec(
        GQAttention, heads=4, qk=(Spec(RoPE, scaling=scaling),), mask=Window(3) & Full()
    )
    steps = {"z": Spec(Residual, inner=attention, norm_in=RMSNorm), "a": Spec(MLP, hidden=3)}
    again = through(Spec(Chain, steps=steps))
    assert list(again.keywords["steps"]) == ["z", "a"]


def test_defaults_are_written() -> None:
    assert to_json(Spec(GatedMLP, hidden=8)) == {
        "block": "GatedMLP",
        "options": {"hidden": 8, "act": "silu", "bias": False, "dropout": 0.0},
    }


@pytest.mark.parametrize("bound", [float("inf"), float("-inf"), 0.1, 1e-300, -0.0])
def test_infinity_and_odd_floats(bound: float) -> None:
    assert through(Spec(Mine, bound=bound), blocks=(Mine,)).keywords["bound"] == bound


def test_equal_specs_write_equal_json() -> None:
    assert to_json(Spec(RMSNorm, eps=1)) == to_json(Spec(RMSNorm, eps=1.0))
    assert json.dumps(to_json(Spec(RMSNorm, eps=1))) == json.dumps(to_json(Spec(RMSNorm, eps=1.0)))


def test_a_function_can_not_be_saved() -> None:
    spec = Spec(Residual, inner=lambda dim: nn.Linear(dim, dim))
    with pytest.raises(SpecError, match="only classes can be saved"):
        to_json(spec)
    with pytest.raises(SpecError, match="only classes can be saved"):
        to_json(Spec(lambda dim: nn.Linear(dim, dim)))


def test_a_users_own_class_is_handed_in() -> None:
    spec = Spec(Residual, inner=Spec(Mine, bound=2.0))
    data = to_json(spec)
    name = data["options"]["inner"]["block"]
    assert name == f"{Mine.__module__}:Mine"
    assert from_json(data, blocks=(Mine,)) == spec
    with pytest.raises(SpecError, match=r"blocks=\(Mine,\)"):
        from_json(data)


def test_a_users_own_mask_is_handed_in() -> None:
    spec = Spec(GQAttention, heads=2, mask=MyMask(gap=3))
    assert through(spec, blocks=(MyMask,)) == spec
    with pytest.raises(SpecError, match="MyMask"):
        from_json(to_json(spec))


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.Linear",
        "torch.nn:Linear",
        "os:system",
        "os.system",
        "blocks.mlp.plain:MLP",
        "this",
    ],
)
def test_a_dotted_path_is_never_imported(name: str) -> None:
    sys.modules.pop("this", None)
    with pytest.raises(SpecError) as caught:
        from_json({"block": name, "options": {"hidden": 4}})
    assert "this" not in sys.modules and name.rpartition(":")[2] in str(caught.value)


def test_an_unknown_name_shows_the_nearest() -> None:
    with pytest.raises(SpecError, match="GQAttention"):
        from_json({"block": "GQAttenton", "options": {"heads": 2}})


@pytest.mark.parametrize(
    "name", ["Step", "State", "generate", "BlocksError", "Causal", "Mask", "Spec"]
)
def test_public_names_that_are_no_blocks_are_refused(name: str) -> None:
    with pytest.raises(SpecError):
        from_json({"block": name, "options": {}})


def test_values_are_values_and_blocks_are_blocks() -> None:
    attention = to_json(Spec(GQAttention, heads=2))
    for odd in ({"block": "Causal", "options": {}}, {"value": "RMSNorm", "options": {}}):
        attention["options"]["mask"] = odd
        with pytest.raises(SpecError):
            from_json(attention)
    attention["options"]["mask"] = {"value": "Window", "options": {"size": 3, "sise": 4}}
    with pytest.raises(SpecError, match="'sise'"):
        from_json(attention)
    attention["options"]["mask"] = {"value": "Window", "options": {}}
    with pytest.raises(SpecError):
        from_json(attention)


def test_an_unknown_or_wrong_option_is_refused() -> None:
    data = to_json(Spec(MLP, hidden=4))
    for option, value in {"hiden": 4, "hidden": "4", "act": "swish", "bias": 1}.items():
        changed = {**data, "options": {**data["options"], option: value}}
        with pytest.raises(SpecError, match=option):
            from_json(changed)


def test_deep_nesting_is_refused_before_it_breaks() -> None:
    data: Any = to_json(Spec(MLP, hidden=4))
    for _ in range(2000):
        data = {"block": "Residual", "options": {"inner": data}}
    with pytest.raises(SpecError, match="nested"):
        from_json(data)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(blocks.__all__)
    | st.text(),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from(["block", "options", "map", "value", "float", "hidden"]), part
        )
    ),
    max_leaves=8,
)


@given(JUNK)
def test_junk_is_a_spec_error(data: Any) -> None:
    try:
        spec = from_json(data)
    except SpecError:
        return
    assert to_json(spec)["block"] == data["block"]


@given(st.sampled_from(["hidden", "act", "bias", "dropout"]), JUNK)
def test_junk_in_an_option_is_a_spec_error(option: str, value: Any) -> None:
    data = to_json(Spec(MLP, hidden=4))
    data["options"][option] = value
    try:
        assert through(from_json(data)).func is MLP
    except SpecError as error:
        assert str(error)


def test_what_is_handed_in_is_no_way_around() -> None:
    with pytest.raises(SpecError):
        from_json({"value": f"{Mine.__module__}:Mine", "options": {}}, blocks=(Mine,))
    with pytest.raises(SpecError):
        from_json({"block": f"{MyMask.__module__}:MyMask", "options": {}}, blocks=(MyMask,))
