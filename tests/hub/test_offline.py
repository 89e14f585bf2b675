"""What needs no network opens no socket, and all files of one load are of one commit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from index import ROOT

from blocks import Provenance, Tokenizer, from_pretrained, save_pretrained
from blocks.generation.origin import tokenizer_of
from tests.gallery import sound
from tests.gallery.harness import PROMPT
from tests.hub.loopback import HubServer, Request

WATCH = """
import sys
seen = []
def watch(event, args):
    if event.startswith("socket."):
        seen.append(f"{event} {args}")
sys.addaudithook(watch)
place, target = sys.argv[1:]
"""
USED = """
import blocks
model = blocks.from_pretrained(place, check_finite=True)
tokenizer = blocks.Tokenizer.from_pretrained(place)
blocks.generate(model, tokenizer.encode("the other"), max_new_tokens=2)
blocks.inspect(place), str(blocks.explain(model))
"""
KEPT = """
blocks.save_pretrained(model, target, tokenizer=tokenizer)
blocks.verify(target)
blocks.from_pretrained(target, verify=True, copy=True)
blocks.export(model, target + "-exported", tokenizer=tokenizer)
"""
ASKED = """
from click.testing import CliRunner
from blocks.cli.main import main
for given in (["inspect"], ["explain"], ["generate", "the", "--max-new-tokens", "2"]):
    done = CliRunner().invoke(main, [given[0], place, *given[1:]])
    assert done.exit_code == 0, done.output
"""
PROVED = """
done = CliRunner().invoke(main, ["verify", target])
assert done.exit_code == 0, done.output
"""
TOLD = """
assert not seen, seen
import socket  # the watch is awake
socket.socket().close()
assert seen
"""


def silent(place: Path | str, target: Path, *parts: str, **environment: str) -> None:
    """Runs a program in a process of its own, in which no socket may be opened."""
    code = "".join([WATCH, *parts, TOLD])
    done = subprocess.run(
        [sys.executable, "-c", code, str(place), str(target)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_needs_no_network(tmp_path: Path) -> None:
    folder = sound.write(tmp_path / "model")
    silent(folder, tmp_path / "out", USED, KEPT, ASKED, PROVED, HF_HUB_OFFLINE="0")


@pytest.mark.slow
def test_a_warm_cache_needs_no_network(hub_server: HubServer, tmp_path: Path) -> None:
    folder = sound.write(tmp_path / "model")
    hub_server.add("org/model", files(folder))
    Tokenizer.from_pretrained("org/model")
    assert from_pretrained("org/model").provenance.commit
    before = len(hub_server.requests)
    silent("org/model", tmp_path / "out", USED, KEPT, ASKED, HF_HUB_OFFLINE="1")
    assert len(hub_server.requests) == before


class Moving(list[Request]):
    """A log of requests; at the nth one, something happens before it is answered."""

    def __init__(self, nth: int, happens: Callable[[], object]):
        super().__init__()
        self._nth, self._happens = nth, happens

    def append(self, request: Request) -> None:
        super().append(request)
        if len(self) == self._nth:
            self._happens()


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints that differ in their weights, and in what a token is called."""
    place = tmp_path_factory.mktemp("versions")
    one, two = (sound.write(place / name, sound.tensors(n)) for n, name in enumerate("ab"))
    text = (two / "tokenizer.json").read_text()
    for old, new in (
        ('"th"', '"zz"'),
        ('"the"', '"zze"'),
        ('"t h"', '"z z"'),
        ('"th e"', '"zz e"'),
    ):
        text = text.replace(old, new)
    (two / "tokenizer.json").write_text(text)
    return [one, two]


def files(folder: Path) -> dict[str, bytes | Path]:
    return {path.name: path for path in folder.iterdir()}


def used(model: Any) -> tuple[Any, str | None]:
    """What the weights say, and the model's own tokenizer."""
    with torch.no_grad():
        return model(torch.tensor([PROMPT])).tolist(), tokenizer_of(model).token(29)


def test_a_branch_that_moves_during_a_load(hub_server: HubServer, versions: list[Path]) -> None:
    """Before every other of its requests: all files are of the one commit or of the other."""
    wanted = [used(from_pretrained(folder)) for folder in versions]
    old, new = (files(folder) for folder in versions)
    seen, nth, asked = set(), -1, 1
    while nth < asked:
        nth += 2
        repo = f"org/model{nth}"
        commits = [hub_server.add(repo, old)]
        move = partial(hub_server.add, repo, new)
        hub_server.requests = Moving(nth, lambda commits=commits, move=move: commits.append(move()))
        model = from_pretrained(repo)
        found = used(model)
        asked, at = len(hub_server.requests), commits.index(model.provenance.commit)
        assert found == wanted[at]
        seen.add(at)
    assert seen == {0, 1} and asked > 4


def test_a_tokenizer_is_of_its_models_commit(
    hub_server: HubServer, versions: list[Path], tmp_path: Path
) -> None:
    """Also where the branch is elsewhere by now, and in the cache that the model is from."""
    old, new = (files(folder) for folder in versions)
    first = hub_server.add("org/model", old, "dev")
    model = from_pretrained("org/model", revision="dev", cache_dir=tmp_path / "cache")
    hub_server.add("org/model", new, "dev")
    assert model.provenance.commit == first
    assert tokenizer_of(model).token(29) == "th"
    assert not (tmp_path / "hf_home").exists()


def test_what_a_checkpoint_says_of_its_origin_is_not_followed(
    hub_server: HubServer, versions: list[Path], tmp_path: Path
) -> None:
    """A folder is a folder: no tokenizer is fetched from the place that its config.json names."""
    hub_server.add("org/evil", files(versions[1]))
    model, tokenizer = from_pretrained(versions[0]), Tokenizer.from_pretrained(versions[0])
    model.provenance = Provenance("org/evil", hub_server.repositories["org/evil"].refs["main"])
    save_pretrained(model, tmp_path / "saved", tokenizer=tokenizer)
    again = from_pretrained(tmp_path / "saved")
    assert again.provenance.source == "org/evil"
    assert tokenizer_of(again).token(29) == "th" and not hub_server.requests
