"""Odd checkpoints that are as good as any: they load, and compute the same."""

from __future__ import annotations

from tests.gallery.harness import Case
from tests.gallery.sound import shard

CASES = [
    Case("two shards", shard, None),
]
