"""A model that no family can say is refused by each of them, and by all together, with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import blocks
from blocks import (
    LSTM,
    S4D,
    CausalLM,
    Chain,
    CheckpointError,
    GatedMLP,
    GQAttention,
    LinearAttention,
    Mamba,
    Mamba2,
    Residual,
    RMSNorm,
    Slot,
    Spec,
    export,
    from_pretrained,
    packaged,
    rewrite,
    swap,
)
from blocks.families import family_of, model_types
from blocks.hub.unsaid import unsaid, usual

ATTENTION, MLP = Spec(GQAttention, heads=4), Spec(GatedMLP, hidden=8)
TWO = Spec(Mamba2, heads=2, head_dim=8, state_dim=4)


def layer(**parts: Slot) -> Spec:
    steps = {name: Spec(Residual, inner=part, norm_in=RMSNorm) for name, part in parts.items()}
    return Spec(Chain, steps=steps)


MODELS = {
    "attention and an LSTM": (layer(attention=ATTENTION, mlp=MLP), layer(mixer=LSTM)),
    "Mamba and attention": (layer(mixer=Mamba), layer(mixer=ATTENTION)),
    "S4D alone": (layer(mixer=S4D),),
    "two kinds of Mamba": (layer(mixer=Mamba, mlp=MLP), layer(mixer=TWO, mlp=MLP)),
    "other names": (layer(here=ATTENTION, there=MLP),),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_no_family_says(name: str, tmp_path: Path) -> None:
    model = CausalLM(vocab=11, dim=16, layers=MODELS[name], norm=RMSNorm)
    for family in (None, *model_types()):
        with pytest.raises(CheckpointError) as caught:
            export(model, tmp_path / "out", family=family)
        assert caught.value.reason and "save_pretrained" in str(caught.value.hint)
        assert "no '" not in caught.value.reason and str(caught.value.field) != "None"
    assert not (tmp_path / "out").exists()


LINEAR = Spec(LinearAttention, heads=4)


@pytest.mark.parametrize("saved", (False, True), ids=("swapped", "swapped and saved"))
def test_a_swapped_model_is_told_which_layers(saved: bool, tmp_path: Path) -> None:
    model, _ = swap(from_pretrained(packaged()), GQAttention, LINEAR)
    if saved:  # what was read from the source is known no more
        blocks.save_pretrained(model, tmp_path / "saved")
        model = from_pretrained(tmp_path / "saved")
    with pytest.raises(CheckpointError) as caught:
        export(model, tmp_path / "out")
    words = "layers.{0-3}.attention is LinearAttention, not GQAttention"
    assert caught.value.reason == f"llama can't express this model: {words}"
    assert caught.value.field == "layers.0.attention" and "eject" in str(caught.value.hint)


@pytest.mark.parametrize("model_type", model_types())
def test_every_family_tells_of_a_foreign_mixer(model_type: str) -> None:
    """Each has a usual model, and knows it for one that its files can't say without."""
    spec: Any
    spec, family = usual(model_type), family_of(family_of(model_type).written or model_type)
    mixers: set[Any] = {part.func for _, part in blocks.walk(spec)} & {GQAttention, Mamba, Mamba2}
    for mixer in mixers:
        found = unsaid(family, rewrite(spec, mixer, LINEAR))
        assert all(f" is LinearAttention, not {mixer.__name__}" in words for words in found), found


CHANGED = {
    "no rotary part": (lambda a: blocks.replace(a, qk=()), "phi", "attention.qk is (), not (RoPE)"),
    "another scale": (
        lambda a: blocks.replace(a, scale=None),
        "gemma2",
        "attention.scale is None, not 0.0625",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_an_option_is_named_where_the_blocks_are_right(name: str) -> None:
    change, model_type, words = CHANGED[name]
    found = unsaid(family_of(model_type), rewrite(usual(model_type), GQAttention, change))
    assert found and all(one.endswith(words) for one in found), found
