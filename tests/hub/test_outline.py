"""What a config says of two models in one: the inner and the outer may disagree."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.properties.published import config_of

HEAD = [("head.weight", "embedding.weight")]


@pytest.mark.parametrize(
    ("outer", "inner", "tied"),
    [
        ({}, {}, None),
        ({"tie_word_embeddings": False}, {}, False),
        ({}, {"tie_word_embeddings": False}, False),
        ({"tie_word_embeddings": None}, {"tie_word_embeddings": True}, True),
        ({"tie_word_embeddings": False}, {"tie_word_embeddings": True}, None),
        ({"tie_word_embeddings": True}, {"tie_word_embeddings": False}, None),
    ],
)
def test_the_weights_tell_where_two_models_disagree(outer: Any, inner: Any, tied: Any) -> None:
    text = {n: v for n, v in config_of("gemma3_text").items() if n != "tie_word_embeddings"}
    whole = {"model_type": "gemma3", "text_config": text | inner, **outer}
    outline = outline_of(Config(whole))
    assert outline.tied is tied
    assert outline.sharable(HEAD) == ([] if tied is False else HEAD)
