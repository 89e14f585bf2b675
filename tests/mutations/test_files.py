"""Headers and index, damaged at random: refused in our words, or nothing has changed.

What alone may change are places: two tensors of one size that say they are each other. Nothing but
a checksum can see that, and `verify` does.
"""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from random import Random

import pytest
import torch

from blocks import BlocksError
from tests.mutations.damage import bitten, edited
from tests.mutations.sound import INDEX, Sound, opened, verdicts

DTYPES = (torch.float32, torch.bfloat16)
PART, PARTS = 250, 4  # of each dtype, so that each kind is tried 2,000 times
MOST = 1 << 20  # bytes that a refusal may take, beside ten times those of the file


@pytest.fixture(scope="module", params=DTYPES, ids=str)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    return Sound(tmp_path_factory.mktemp("files"), request.param)


def header_edited(sound: Sound, random: Random) -> tuple[str, bytes]:
    shard = random.choice(sound.shards)
    return shard, _with_header(sound, shard, edited(sound.json(shard), random))


def header_bitten(sound: Sound, random: Random) -> tuple[str, bytes]:
    shard = random.choice(sound.shards)
    header, data = sound.header(shard)
    if random.random() < 0.1:
        whole = header + data
        return shard, whole[: random.randrange(len(whole))]
    return shard, bitten(header, random) + data


def index_damaged(sound: Sound, random: Random) -> tuple[str, bytes]:
    if random.random() < 0.25:
        return INDEX, bitten(sound.files[INDEX], random)
    return INDEX, json.dumps(edited(sound.json(INDEX), random)).encode()


def places_swapped(sound: Sound, random: Random) -> tuple[str, bytes]:
    shard = random.choice(sound.shards)
    header = sound.json(shard)
    one, other = random.sample([name for name in header if name != "__metadata__"], 2)
    header[one], header[other] = header[other], header[one]
    return shard, _with_header(sound, shard, header)


def _with_header(sound: Sound, shard: str, header: object) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + sound.header(shard)[1]


KINDS = {damage.__name__: damage for damage in (header_edited, header_bitten, index_damaged)}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_changes_unseen(sound: Sound, kind: str, part: int) -> None:
    dtype = DTYPES.index(next(iter(sound.tensors.values())).dtype)
    start = (dtype * PARTS + part) * PART
    count = verdicts(sound, KINDS[kind], range(start, start + PART))
    assert count.keys() <= {"refused", "unchanged", "swapped"}
    assert count["refused"] > PART / 2


def test_what_changes_places_is_found_by_its_checksum(sound: Sound) -> None:
    count = verdicts(sound, places_swapped, range(60))
    assert count.keys() == {"refused", "swapped"} and min(count.values()) >= 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_takes_little_memory(sound: Sound, kind: str) -> None:
    for seed in range(40):
        name, data = KINDS[kind](sound, Random(seed))
        with sound.damaged(name, data):
            tracemalloc.start()
            with contextlib.suppress(BlocksError):
                opened(sound.folder)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert most < MOST + 10 * len(data)
