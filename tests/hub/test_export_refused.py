"""A model that no family can say is refused by each of them, and by all together, with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks import (
    LSTM,
    S4D,
    CausalLM,
    Chain,
    CheckpointError,
    GatedMLP,
    GQAttention,
    Mamba,
    Mamba2,
    Residual,
    RMSNorm,
    Slot,
    Spec,
    export,
)
from blocks.families import model_types

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
    assert not (tmp_path / "out").exists()
