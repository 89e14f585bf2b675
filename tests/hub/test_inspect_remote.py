"""inspect of a repository: few bytes, none of them weights, and none at all once it is cached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, SupportsIndex

import pytest
import torch

import blocks
from tests.hub.craft import entry, file, go_offline
from tests.hub.loopback import HubServer

LLAMA = Path(__file__).parents[2].parent / "shared" / "data" / "hub" / "llama-3.1-70b"
REPO = "org/model"
CARD = "---\nlicense: llama3.1\ntags:\n- text\n---\n" + "What it can do.\n" * 20_000


class Hollow(bytes):
    """A file of which only the beginning is held, and the rest is as long as it says."""

    size: int

    @classmethod
    def of(cls, head: bytes, size: int) -> Hollow:
        made = cls(head)
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: SupportsIndex | slice) -> Any:
        assert isinstance(part, slice)
        held = super().__getitem__(part)
        return held + bytes((part.stop or self.size) - (part.start or 0) - len(held))


def served(folder: Path) -> dict[str, bytes | Path]:
    """A repository of the published index, its shards made of headers and of nothing else."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shapes = {row.name: row.shape for row in blocks.inspect(folder).tensors}
    shards: dict[str, list[str]] = {}
    for name, shard in index["weight_map"].items():
        shards.setdefault(shard, []).append(name)
    files: dict[str, bytes | Path] = {path.name: path for path in folder.glob("*.json")}
    for shard, names in shards.items():
        held: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name in names:
            held[name] = entry("BF16", list(shapes[name]), end)
            end = held[name]["data_offsets"][1]
        head = file(held)
        files[shard] = Hollow.of(head, len(head) + end)
    return files | {"README.md": CARD.encode()}


def test_a_model_of_70_billion_takes_a_few_hundred_kilobytes(hub_server: HubServer) -> None:
    if not LLAMA.is_dir():
        pytest.skip("the published files of llama-3.1-70b are not beside the repository")
    files = served(LLAMA)
    hub_server.add(REPO, files)
    report = blocks.inspect(REPO)
    assert report.fits
    assert report.parameters == 70_553_804_800
    assert (report.dtype, report.dtypes) == ("bfloat16", {"BF16": 723})
    assert report.nbytes == 2 * report.parameters
    assert report.licence == "llama3.1"
    shards = [name for name in files if name.endswith(".safetensors")]
    assert len(hub_server.asked("GET", ".safetensors")) <= len(shards) + 2  # each once, the index
    assert hub_server.sent < 350_000


def test_a_cached_repository_is_told_offline(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks.save_pretrained(blocks.from_pretrained(blocks.packaged()), tmp_path / "saved")
    files: dict[str, bytes | Path] = {path.name: path for path in (tmp_path / "saved").iterdir()}
    hub_server.add(REPO, files | {"README.md": b"---\nlicense: mit\n---\n"})
    asked = blocks.inspect(REPO)
    loaded = blocks.from_pretrained(REPO)
    hub_server.stop()
    go_offline(monkeypatch)
    report = blocks.inspect(REPO)
    assert asked.licence == "mit"
    assert report.licence is None  # nobody fetched the card
    assert (report.tensors, report.commit) == (asked.tensors, asked.commit)
    assert report.parameters == sum(p.numel() for p in loaded.parameters())
    assert report.memory(dtype=torch.float32) == asked.memory(dtype=torch.float32)
