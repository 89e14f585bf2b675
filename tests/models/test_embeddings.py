"""An embedding that looks at its neighbours is told where texts begin, or the model refuses."""

from __future__ import annotations

import pytest
import torch

from blocks import (
    CausalConv,
    CausalLM,
    Chain,
    GenerationError,
    GQAttention,
    LayerStack,
    NGramEmbedding,
    RMSNorm,
    Spec,
    State,
)

LAYERS = (Spec(GQAttention, heads=2),)
GRAMS = Spec(NGramEmbedding, sizes=(2, 3), buckets=11)
CONVOLVED = Spec(Chain, steps={"norm": RMSNorm, "conv": Spec(CausalConv, kernel=3)})


def model(**parts: Spec) -> CausalLM:
    return CausalLM(vocab=50, dim=8, layers=LAYERS, norm=None, **parts).double().eval()


@pytest.mark.parametrize("parts", [{"embedding": GRAMS}, {"stem": CONVOLVED}])
def test_padding_and_packing_change_nothing(parts: dict[str, Spec]) -> None:
    lm, tokens = model(**parts), torch.randint(50, (1, 7))
    for real in (torch.arange(7) > 1, torch.arange(7) % 3 != 1):
        alone = lm(tokens[:, real])
        torch.testing.assert_close(lm(tokens, real[None])[:, real], alone)
    packed = lm(tokens, segments=torch.tensor([[0] * 3 + [1] * 4]))
    alone = torch.cat([lm(tokens[:, :3]), lm(tokens[:, 3:])], 1)
    torch.testing.assert_close(packed, alone)


@pytest.mark.parametrize("parts", [{"embedding": GRAMS}, {"stem": CONVOLVED}])
def test_what_has_no_place_in_a_state_is_refused(parts: dict[str, Spec]) -> None:
    with pytest.raises(GenerationError, match="only layers have a state") as caught:
        model(**parts).init_state(1)
    assert caught.value.field == f"CausalLM.{next(iter(parts))}"
    with pytest.raises(GenerationError, match="only layers have a state"):
        State.of(LayerStack(50, 8, layers=LAYERS, **parts), 1)
