"""Several documents packed into one row are read as if each stood alone."""

from __future__ import annotations

import pytest
import torch

from blocks import (
    RGLRU,
    CausalLM,
    DynamicScaling,
    GatedMixer,
    GenerationError,
    LongRoPEScaling,
    RoPE,
    Scaling,
    Spec,
    SpecError,
    Step,
    Window,
)
from tests.generation.tiny import VOCAB, tiny


@pytest.mark.parametrize("options", [{}, {"mask": Window(3)}, {"sinks": True}])
def test_packed_is_alone(options: dict[str, object]) -> None:
    model, tokens = tiny(**options), torch.randint(VOCAB, (2, 9))
    segments = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 2, 2], [5, 5, 7, 7, 7, 7, 7, 7, 7]])
    packed = model(tokens, segments=segments)
    for row, lengths in enumerate(([4, 3, 2], [2, 7])):
        parts = tokens[row].split(lengths)
        alone = torch.cat([model(part[None])[0] for part in parts])
        torch.testing.assert_close(packed[row], alone, rtol=1e-9, atol=1e-9)


def test_a_packed_document_may_begin_with_padding() -> None:
    mixer = Spec(GatedMixer, steps={"lru": Spec(RGLRU, heads=2)})
    model = CausalLM(vocab=11, dim=8, layers=(mixer,) * 2, norm=None).double().eval()
    tokens, segments = torch.randint(11, (1, 9)), torch.tensor([[0] * 5 + [1] * 4])
    mask = torch.tensor([[False, False, True, True, True, False, True, False, True]])
    packed = model(tokens, mask, segments=segments)
    for document in (0, 1):
        places = mask[0] & (segments[0] == document)
        alone = model(tokens[:, places])
        torch.testing.assert_close(packed[:, places], alone, rtol=1e-9, atol=1e-9)


def test_padding_inside_a_packed_row() -> None:
    model, tokens = tiny(), torch.randint(VOCAB, (1, 8))
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 2, 2]])
    mask = torch.tensor([[True] * 6 + [False] * 2])
    packed = model(tokens, mask, segments=segments)
    for start, end in ((0, 3), (3, 6)):
        alone = model(tokens[:, start:end])
        torch.testing.assert_close(packed[:, start:end], alone, rtol=1e-9, atol=1e-9)


def test_segments_and_a_state_exclude_each_other() -> None:
    model, tokens = tiny(), torch.tensor([[1, 2]])
    with pytest.raises(GenerationError, match="segments"):
        model(tokens, None, model.init_state(1), segments=torch.zeros_like(tokens))


@pytest.mark.parametrize(
    "scaling", [DynamicScaling(2.0, 4), LongRoPEScaling((1.0,) * 4, (2.0,) * 4, trained=4)]
)
def test_angles_that_depend_on_the_length_refuse_packed_rows(scaling: Scaling) -> None:
    rope, x = RoPE(8, 1, 1, scaling=scaling), torch.randn(1, 1, 6, 8)
    step = Step(torch.arange(6)[None], segments=torch.tensor([[0, 0, 0, 1, 1, 1]]))
    with pytest.raises(SpecError, match="packed"):
        rope(x, x, step)
