"""Any config.json, edited in one to three places: a Spec, or an error that names file and field."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks import ConfigError, Spec
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.clock import within
from tests.mutations.damage import edited
from tests.properties.published import config_of, families

RANDOM = st.randoms(use_true_random=False)


def check(family: str, random: Random) -> None:
    data = json.loads(json.dumps(edited(config_of(family), random)))

    def read() -> None:
        try:
            assert isinstance(outline_of(Config(data)).spec, Spec)
        except ConfigError as error:
            assert error.file == "config.json" and error.field and error.reason, error

    assert within(1, read)


def test_all_are_sound_before_they_are_edited() -> None:
    for family in families():
        assert isinstance(outline_of(Config(config_of(family))).spec, Spec)


@settings(max_examples=400)
@given(st.sampled_from(families()), RANDOM)
def test_a_spec_or_an_error_that_says_where(family: str, random: Random) -> None:
    check(family, random)


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_of_every_family(family: str) -> None:
    for seed in range(150):
        check(family, Random(seed))
