"""config.json, damaged at random: refused, harmless, or a model whose Spec shows what it is."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import Any

import pytest

import blocks
from tests.mutations.damage import bitten, edited
from tests.mutations.sound import Sound, opened, verdict

PART, PARTS = 250, 8
# With another value of one of these the same tensors are another model; nothing tells which is
# meant.
MEANT = {"hidden_act", "model_type", "rms_norm_eps", "rope_scaling", "rope_theta"}
# These act in training, say what the tensors say as well, or bound what is written.
FREE = {
    "architectures",
    "attention_dropout",
    "max_position_embeddings",
    "tie_word_embeddings",
    "torch_dtype",
}


def damaged(sound: Sound, random: Random) -> bytes:
    if random.random() < 0.2:
        return bitten(sound.files["config.json"], random)
    return json.dumps(edited(sound.json("config.json"), random)).encode()


def others(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The fields whose value is another one, or of another type."""
    names = {*before, *after}
    return {name for name in names if repr(before.get(name)) != repr(after.get(name))}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return Sound(tmp_path_factory.mktemp("configs"))


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_changes_unseen(sound: Sound, part: int) -> None:
    config, count = sound.json("config.json"), Counter[str]()
    for seed in range(part * PART, (part + 1) * PART):
        data = damaged(sound, Random(seed))
        with sound.damaged("config.json", data):
            found = verdict(sound, thorough=seed % 20 == 0)
            count[found] += 1
            if found == "refused":
                continue
            changed, after = others(config, json.loads(data)), json.loads(data)
            said = {name for name in changed if after.get(name) is not None}
            assert said <= MEANT | FREE, (seed, changed)
            if found == "another model":
                assert changed & MEANT and opened(sound.folder)[0].spec != sound.outline.spec, seed
                # What is left out is listed as assumed.
                assert changed & MEANT <= said | blocks.inspect(sound.folder).assumed.keys()
    assert count.keys() <= {"refused", "unchanged", "another model"}
    assert count["refused"] > PART / 2


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return Sound(tmp_path_factory.mktemp("native"), native=True)


def test_our_own_format(native: Sound) -> None:
    """A Spec is all there is to it: whatever else is said is refused or changes no number."""
    spec = native.json("config.json")["spec"]
    for seed in range(PART):
        data = damaged(native, Random(seed))
        with native.damaged("config.json", data):
            found = verdict(native, thorough=seed % 20 == 0)
            assert found != "another model" or json.loads(data)["spec"] != spec, seed
