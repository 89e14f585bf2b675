"""Kills a save at random moments and counts what a reader finds: run by test_save_killed.py.

python killing.py FOLDER HOW SHARDS ROUNDS, where HOW is "whole", "beside folders" or "plain", a
writer that takes no care. A process is forked for each save, before torch has made any thread.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from blocks import BlocksError, save_pretrained
from blocks.hub import save as saver
from blocks.hub.folder import Draft
from tests.hub.versions import model, read, texts

SIZES = {"dim": 512, "depth": 5}  # 16 MB


class Plain(Draft):
    """Files written where older ones lie."""

    def add(self, name: str, parts: object) -> None:
        with (self.folder / name).open("wb") as file:
            for part in parts:  # pyright: ignore[reportGeneralTypeIssues]
                file.write(part)


@contextmanager
def plainly(folder: Path, replaces: object = ()) -> Iterator[Draft]:
    yield Plain(folder)


def main(target: Path, how: str, shards: int, rounds: int) -> dict[str, int]:
    torch.set_num_threads(1)
    made = {version: model(version, **SIZES) for version in (1, 2)}
    size = 4 * sum(tensor.numel() for tensor in made[1].parameters())

    def save(version: int) -> None:
        most = 10 * size if shards == 1 else size // shards + 4 * SIZES["dim"] ** 2
        save_pretrained(made[version], target, tokenizer=texts(version), max_shard_size=most)

    if how == "beside folders":
        (target / "runs").mkdir(parents=True)
    save(1)
    assert len(list(target.glob("model*.safetensors"))) == shards
    if how == "plain":
        saver.writing = plainly  # pyright: ignore[reportAttributeAccessIssue]
    now, found, lasts = 1, Counter[str](), []
    for _ in range(5):  # how long it takes, and that both versions can be told apart
        started = time.monotonic()
        os.waitpid(forked(save, 3 - now), 0)
        lasts.append(time.monotonic() - started)
        assert read(target, verify=how != "plain") == {3 - now}
        now = 3 - now
    for _ in range(rounds):
        child = forked(save, 3 - now)
        time.sleep(random.uniform(0, 1.1 * sorted(lasts)[2]))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        try:
            versions = read(target, verify=how != "plain")
        except (BlocksError, OSError, ValueError):
            found["broken"] += 1
            save(now)
            continue
        if versions == {3 - now}:
            now = 3 - now
            found["new"] += 1
        else:
            found["old" if versions == {now} else "mixed"] += 1
    found["litter"] = sum(name.startswith(".") for name in names(target))
    save(now)
    found["left"] = sum(name.startswith(".") for name in names(target))
    return found


def names(target: Path) -> list[str]:
    return [*os.listdir(target), *os.listdir(target.parent)]


def forked(work: Callable[[int], None], version: int) -> int:
    child = os.fork()
    if not child:
        work(version)
        os._exit(0)
    return child


if __name__ == "__main__":
    random.seed(0)
    place, how, shards, rounds = sys.argv[1:]
    print(json.dumps(main(Path(place), how, int(shards), int(rounds))))
