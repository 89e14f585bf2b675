"""verify: what no reader can see is found by the checksums."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from blocks import CheckpointError, HubError, export, from_pretrained, save_pretrained, verify
from tests.hub.toy import write
from tests.hub.versions import save


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saved") / "model"
    save(1, place, 4)
    return place


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def refused(folder: Path, *words: str) -> None:
    """Both ways name the file and what is wrong with it."""
    for call in (verify, lambda place: from_pretrained(place, verify=True)):
        with pytest.raises(CheckpointError) as caught:
            call(folder)
        assert caught.value.file and caught.value.hint
        for word in words:
            assert word in str(caught.value)


def flip(path: Path, at: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def test_what_is_whole(folder: Path) -> None:
    assert set(verify(folder)) == {path.name for path in folder.iterdir()} - {"sha256.json"}
    assert len(verify(folder)) == 9 and from_pretrained(folder, verify=True)
    sums = json.loads((folder / "sha256.json").read_text())
    assert all(hashlib.sha256((folder / n).read_bytes()).hexdigest() == s for n, s in sums.items())


def test_a_flipped_bit_in_any_file(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in verify(folder):
        path = folder / name
        sound = path.read_bytes()
        for at in torch.randint(0, len(sound), (12,), generator=generator).tolist():
            flip(path, at, at % 8)
            with pytest.raises(CheckpointError):
                verify(folder)
            path.write_bytes(sound)
    assert verify(folder)


def test_what_is_a_sound_checkpoint_all_the_same(folder: Path, tmp_path: Path) -> None:
    """Each of these loads without a word, with other numbers."""
    last, first = sorted(folder.glob("model-*"))[-1], sorted(folder.glob("model-*"))[0]
    flip(last, last.stat().st_size - 3, 0)
    assert from_pretrained(folder)
    refused(folder, last.name, "has the checksum")
    save(2, tmp_path / "other", 4)
    other = shutil.copytree(tmp_path / "other", tmp_path / "mixed")
    shutil.copy(folder / first.name, other / first.name)
    assert from_pretrained(other)
    refused(other, first.name)


def test_two_tensors_of_one_shape_change_places(tmp_path: Path) -> None:
    model = from_pretrained(write(tmp_path / "toy"))
    export(model, tmp_path / "out")
    path = tmp_path / "out" / "model.safetensors"
    data = load_file(path)
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(2)]
    data[names[0]], data[names[1]] = data[names[1]].clone(), data[names[0]].clone()
    save_file(data, path, {"format": "pt"})
    assert from_pretrained(tmp_path / "out")
    refused(tmp_path / "out", "model.safetensors")


def test_missing_and_extra_files(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "model-00009-of-00009.safetensors").write_bytes(b"")
    (folder / "README.md").write_text("edited by anybody")
    refused(folder, "tokenizer.json is missing", "model-00009-of-00009", "was not saved with it")
    bare = shutil.copytree(folder, tmp_path / "bare")
    (bare / "sha256.json").unlink()
    refused(bare, "has no sha256.json")


@pytest.mark.parametrize(
    "sums",
    [
        {"../secret": "0" * 64},
        {"/etc/passwd": "0" * 64},
        {"config.json": 3},
        {"config.json": "0" * 63},
        {"config.json": "G" * 64},
        {"a\x00b": "0" * 64},
    ],
)
def test_a_list_that_no_save_writes(folder: Path, sums: Any) -> None:
    (folder / "sha256.json").write_text(json.dumps(sums))
    refused(folder, "sha256.json", "is not what a save writes")


def test_nothing_outside_and_no_pipe_is_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "sha256.json").write_text(json.dumps({"pipe": "0" * 64}))
    with pytest.raises(HubError, match="is no regular file"):
        verify(folder)
    (folder / "pipe").unlink()
    (folder / "pipe").symlink_to("/etc/hostname")
    with pytest.raises(HubError, match="leads out of its folder"):
        verify(folder)


def test_the_cache_of_the_hub(folder: Path, tmp_path: Path) -> None:
    """Large files are named by their SHA-256 there, small ones as git names them."""
    repo = tmp_path / "hub" / "models--org--model"
    commit = "c" * 40
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    for path in folder.iterdir():
        data = path.read_bytes()
        name = hashlib.sha256(data).hexdigest()
        if path.suffix == ".json":
            name = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        (repo / "blobs" / name).write_bytes(data)
        (snapshot / path.name).symlink_to(f"../../blobs/{name}")
    options: Any = {"cache_dir": tmp_path / "hub", "local_files_only": True}
    assert {"config.json", "tokenizer.json"} < set(verify("org/model", **options))
    assert from_pretrained("org/model", verify=True, **options).provenance.commit == commit
    for name in ("config.json", "model-00001-of-00004.safetensors"):
        blob = (snapshot / name).resolve()
        sound = blob.read_bytes()
        flip(blob, len(sound) - 1, 1)
        with pytest.raises(CheckpointError, match=f"{name}.*has the checksum"):
            verify("org/model", **options)
        blob.write_bytes(sound)


def test_what_stays_keeps_its_checksum(folder: Path) -> None:
    """A tokenizer that is not saved again is still compared with what it was at first."""
    model = from_pretrained(folder)
    save_pretrained(model, folder)
    assert "tokenizer.json" in verify(folder)
    flip(folder / "tokenizer.json", 2, 0)
    save_pretrained(model, folder)
    refused(folder, "tokenizer.json has the checksum")
