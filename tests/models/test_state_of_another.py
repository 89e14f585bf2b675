"""A state that another model made is refused by name, whatever it is made of."""

from __future__ import annotations

import pytest
import torch

from blocks import (
    LSTM,
    RGLRU,
    CausalLM,
    Chain,
    GatedMixer,
    GenerationError,
    GQAttention,
    LayerStack,
    Mamba,
    Parallel,
    Residual,
    RMSNorm,
    Spec,
    SpecError,
    Window,
)

ATTENTION = Spec(Residual, inner=Spec(GQAttention, heads=4), norm_in=RMSNorm)
MAMBA = Spec(Residual, inner=Mamba, norm_in=RMSNorm)
LAYERS = {
    "attention": ATTENTION,
    "attention in a window": Spec(Residual, inner=Spec(GQAttention, heads=4, mask=Window(3))),
    "branches": Spec(Parallel, branches={"attention": Spec(GQAttention, heads=4), "mixer": LSTM}),
    "gated": Spec(GatedMixer, steps={"lru": Spec(RGLRU, heads=4)}),
    "lstm": Spec(LSTM),
    "mamba": MAMBA,
    "steps": Spec(Chain, steps={"attention": ATTENTION, "mixer": MAMBA}),
}
TOKENS = torch.arange(10).view(2, 5)


def model_of(*names, layers=LAYERS):
    return CausalLM(vocab=11, dim=16, layers=tuple(layers[n] for n in names), norm=RMSNorm)


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_of_another_model(name):
    model = model_of(name)
    for other in LAYERS:
        state = model_of(other).init_state(2)
        if other == name or {name, other} == {"attention", "attention in a window"}:
            continue
        with pytest.raises(GenerationError) as caught:
            model(TOKENS, state=state)
        assert caught.value.field == "state" and "init_state" in caught.value.hint


@pytest.mark.parametrize("names", [("mamba",), ("mamba", "lstm"), ("lstm", "mamba", "lstm")])
def test_a_state_of_another_depth_or_order(names):
    with pytest.raises(GenerationError, match="state"):
        model_of("lstm", "mamba")(TOKENS, state=model_of(*names).init_state(2))


@pytest.mark.parametrize("options", [{"heads": 4, "kv_heads": 2}, {"heads": 2}])
def test_a_state_of_other_heads(options):
    other = model_of("one", layers={"one": Spec(GQAttention, **options)})
    with pytest.raises(GenerationError, match="the state holds 2 heads of .*, not 4 heads of 4"):
        model_of("attention")(TOKENS, state=other.init_state(2))


def test_a_state_of_another_dtype():
    model = model_of("attention")
    with pytest.raises(GenerationError, match="float64, not 4 heads of 4 in torch.float32"):
        model(TOKENS, state=model.init_state(2, dtype=torch.float64))


def test_layers_that_are_no_tuple():
    for layers in (Spec(LSTM), ()):
        with pytest.raises(SpecError, match="at least one layer"):
            CausalLM(vocab=11, dim=16, layers=layers, norm=None)
        with pytest.raises(SpecError, match="layer"):
            Spec(LayerStack, layers=layers)(11, 16)


@pytest.mark.parametrize("state", [[], "a state", torch.zeros(1)])
def test_what_is_no_state(state):
    layers = (Spec(Chain, steps={"mixer": MAMBA}),)
    model = CausalLM(vocab=11, dim=16, layers=layers, norm=RMSNorm)
    with pytest.raises(GenerationError) as caught:
        model(torch.tensor([[1, 2]]), None, state)
    assert caught.value.field == "state" and type(state).__name__ in str(caught.value)
