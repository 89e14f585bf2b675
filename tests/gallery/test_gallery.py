"""Damaged inputs of every kind: each is answered by an error that says where and why."""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.gallery import sound
from tests.gallery.harness import Case, answer, chat, found, judge, load, tokenize

# How many at least: as many as the largest gallery that was known when this one was begun.
GROUPS = {
    "container": 40,
    "names": 13,
    "index": 24,
    "config": 59,
    "side_files": 8,
    "tokenizer": 13,
    "template": 16,
    "run_time": 21,
    "sound": 12,
}
FAST = 70  # cases of a group that the fast tests run at most

linux = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="memory is read from /proc")


@cache
def cases(group: str) -> dict[str, Case]:
    every: list[Case] = import_module(f"tests.gallery.cases.{group}").CASES
    assert len({case.name for case in every}) == len(every), "two cases of one name"
    return {case.name: case for case in every}


@pytest.fixture(scope="session")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """What the sound checkpoint gives; afterwards all that a child needs has been imported."""
    with torch.device("meta"):
        torch.rand(2).log_()  # for which torch imports much that runs strings
    folder = sound.write(tmp_path_factory.mktemp("gallery") / "model")
    return {act: act(folder) for act in (load, answer, tokenize, chat)}


EVERY = [(group, name) for group in GROUPS for name in cases(group)]


def chosen() -> list[Any]:
    """All of them, of which the fast tests run an even choice from each group."""
    found: list[Any] = []
    for group in GROUPS:
        step = -(-len(cases(group)) // FAST)
        for at, name in enumerate(cases(group)):
            marks = () if at % step == 0 else (pytest.mark.slow,)
            found.append(pytest.param(group, name, marks=marks))
    return found


@linux
@pytest.mark.parametrize(("group", "name"), chosen())
def test_gallery(group: str, name: str, right: dict[Any, Any], tmp_path: Path) -> None:
    case = cases(group)[name]
    report = found(case, sound.write(tmp_path / "model"))
    assert not judge(case, report, right.get(case.act))


def test_the_gallery_is_large_enough() -> None:
    count = Counter(group for group, _ in EVERY)
    assert {group: count[group] for group in GROUPS if count[group] < GROUPS[group]} == {}
    assert all((case.error is None) == (g == "sound") for g in GROUPS for case in cases(g).values())
