"""Which layers of a RecurrentGemma remember, as its pattern says."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blocks import ConfigError
from blocks.families import family_of
from blocks.hub.config import Config
from tests.families import ageing
from tests.families.reference import case_of


def read(**changes: Any) -> list[str]:
    """The first part of each layer of the published model with other fields; None is absent."""
    data = {**case_of("recurrent_gemma").published["google/recurrentgemma-2b"][0], **changes}
    data = {name: value for name, value in data.items() if value is not None}
    layers = family_of("recurrent_gemma").spec(Config(data)).keywords["layers"]
    return [next(iter(layer.keywords["steps"])) for layer in layers]


def test_the_published_pattern() -> None:
    wanted = ["mixer", "mixer", "attention"] * 8 + ["mixer", "mixer"]
    assert read() == wanted == read(_block_types=None)
    assert read(_block_types=None, block_types=["recurrent", "recurrent", "attention"]) == wanted


@pytest.mark.parametrize(
    ("pattern", "field", "said"),
    [
        (["recurrent", "attention"] * 14, "num_hidden_layers", "block_types lists 28"),
        ([], "num_hidden_layers", "block_types lists 0"),
        (["recurrent", "mamba"], "block_types", "'mamba' is not known"),
        (["recurrent"], "block_types", "none of 26 layers has attention"),
    ],
)
def test_a_pattern_that_cannot_be(pattern: list[str], field: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read(_block_types=pattern)
    assert caught.value.field == field


def test_two_patterns_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="said twice"):
        read(block_types=["attention"])


def test_a_text_of_many_windows_token_by_token(loaded) -> None:
    """Far beyond the window of 7: what is older than it comes from the recurrence alone."""
    it = loaded("recurrent_gemma", "plain")
    tokens = torch.randint(0, it.case.vocab, (2, 90), generator=torch.Generator().manual_seed(5))
    state = it.ours.init_state(2)
    with torch.no_grad():
        parts = [it.ours(part, state=state) for part in tokens.split([3] + [1] * 87, 1)]
    assert it.close(torch.cat(parts, 1), it.ask(tokens)) <= it.case.tolerance


def test_the_pattern_in_its_older_word(loaded, tmp_path) -> None:
    it = loaded("recurrent_gemma", "attention first")

    def before(data: dict[str, Any]) -> dict[str, Any]:
        old = it.case.older(data)
        return {"_block_types": old.pop("block_types"), "embeddings_scale_by_sqrt_dim": True, **old}

    aged = ageing.aged(it.folder, tmp_path / "aged", config=before)
    assert family_of("recurrent_gemma").spec(Config(ageing.read_config(aged))) == it.ours.spec
