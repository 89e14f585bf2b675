"""Which files belong to a checkpoint, and an index that may say anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.errors import CheckpointError, HubError
from blocks.hub.checkpoint import Checkpoint, open_checkpoint, peek_checkpoint
from blocks.hub.index import read_index, unsafe_name
from blocks.hub.source import resolve
from tests.hub.craft import index, weights


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


SHARDS = {
    "model.safetensors.index.json": index(
        {"a": "x.safetensors", "b": "y.safetensors"}, metadata={"total_size": 16}
    ),
    "x.safetensors": weights("a"),
    "y.safetensors": weights("b"),
}


def test_single_file(tmp_path: Path) -> None:
    source = resolve(folder(tmp_path, {"model.safetensors": weights("a", "b")}))
    got = open_checkpoint(source)
    assert isinstance(got, Checkpoint)
    assert list(got.entries) == ["a", "b"]
    assert got.files == (tmp_path / "model.safetensors",)
    assert (got.total, got.nbytes, got.notes) == (None, 16, ())
    assert got.shard_of("b") == tmp_path / "model.safetensors"
    assert peek_checkpoint(source).entries == got.entries


def test_shards_are_those_the_index_names(tmp_path: Path) -> None:
    stray = {"z.safetensors": weights("a", value=9), "pytorch_model.bin": b"\x80\x02"}
    source = resolve(folder(tmp_path, SHARDS | stray))
    got = open_checkpoint(source)
    assert got.files == (tmp_path / "x.safetensors", tmp_path / "y.safetensors")
    assert got.shard_of("b") == tmp_path / "y.safetensors"
    assert (got.total, got.notes) == (16, ())
    peek = peek_checkpoint(source)
    assert peek.entries == got.entries
    assert (peek.files, peek.total) == (("x.safetensors", "y.safetensors"), 16)


def test_shard_in_a_subfolder_and_index_that_names_the_single_file(tmp_path: Path) -> None:
    source = resolve(
        folder(
            tmp_path,
            {
                "model.safetensors.index.json": index(
                    {"a": "model.safetensors", "b": "more/b.safetensors"}
                ),
                "model.safetensors": weights("a"),
                "more/b.safetensors": weights("b"),
            },
        )
    )
    got = open_checkpoint(source)
    assert list(got.entries) == ["a", "b"]
    assert got.total is None


def test_part_of_a_pipeline(tmp_path: Path) -> None:
    name = "diffusion_pytorch_model.safetensors"
    source = resolve(folder(tmp_path, {name: weights("a")}))
    assert open_checkpoint(source).files == (tmp_path / name,)


def test_index_alone_tells_names(tmp_path: Path) -> None:
    source = resolve(folder(tmp_path, {k: v for k, v in SHARDS.items() if k.endswith("json")}))
    peek = peek_checkpoint(source)
    assert peek.entries == {"a": None, "b": None}
    assert peek.total == 16
    with pytest.raises(CheckpointError, match="missing although model"):
        open_checkpoint(source)


def test_false_total_is_noted(tmp_path: Path) -> None:
    files = {**SHARDS}
    files["model.safetensors.index.json"] = files["model.safetensors.index.json"].replace(
        b"16", b"17.0"
    )
    got = open_checkpoint(resolve(folder(tmp_path, files)))
    assert got.total == 17
    assert "claims 17 bytes, its files hold 16" in got.notes[0]


def test_large_index_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    with path.open("wb") as out:
        out.truncate((64 << 20) + 1)
    with pytest.raises(CheckpointError, match="over the limit of 67108864"):
        read_index(path)
    path.write_bytes(b'{"weight_map":[' + b"[]," * 1_000_001 + b"[]]}")
    with pytest.raises(CheckpointError, match="over 2000000 values"):
        read_index(path)
    path.write_bytes(index({str(i): f"{i}.safetensors" for i in range(10_001)}))
    with pytest.raises(CheckpointError, match="10001 files, over the limit"):
        read_index(path)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"pytorch_model.bin": b"\x80\x02"}, "only as pickles (pytorch_model.bin)"),
        ({"a.pt": b"", "b.ckpt": b""}, "only as pickles (a.pt, b.ckpt)"),
        (
            {"model-00001-of-00002.safetensors": b"", "pytorch_model.bin": b""},
            "nor an index of shards, but model-00001-of-00002.safetensors",
        ),
        ({"unet/x.safetensors": b""}, "but unet/x.safetensors"),
        ({"config.json": b"{}", "model.gguf": b""}, "holds config.json, model.gguf"),
        ({}, "it holds nothing"),
    ],
)
def test_folder_without_weights_says_what_it_has(
    files: dict[str, bytes], reason: str, tmp_path: Path
) -> None:
    for call in (open_checkpoint, peek_checkpoint):
        with pytest.raises(CheckpointError) as caught:
            call(resolve(folder(tmp_path, files)))
        assert reason in str(caught.value)
        assert caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "",
        "a/..",
        "../a",
        "/a",
        "a//b",
        "a/",
        "C:\\a",
        "C:a",
        "a\\b",
        "a\0b",
        "a\nb",
        "\\\\host\\a",
        ".. /a",
        "a/.. ./b",
        "~/../a",
        "a" * 513,
        "\x1b[31m",
        "\u202ea",
        "\ud800",
    ],
)
def test_unsafe_names(name: str, tmp_path: Path) -> None:
    assert unsafe_name(name)
    for call in (resolve(tmp_path).find, resolve(tmp_path).has, resolve(tmp_path).header):
        with pytest.raises(HubError, match="the file name"):
            call(name)


@pytest.mark.parametrize("name", ["model.safetensors", "a/b-00001.safetensors", "..a", "~a", "é"])
def test_safe_names(name: str) -> None:
    assert unsafe_name(name) is None


@pytest.mark.parametrize("name", ["gemma-2b", "llama-3.1-70b", "mixtral-8x22b", "phi-3-mini"])
def test_real_indexes_are_read(name: str) -> None:
    shared = Path(__file__).parents[3] / "shared" / "data" / "hub"
    if not shared.is_dir():
        pytest.skip("the folder shared/data beside the repository is absent")
    peek = peek_checkpoint(resolve(shared / name))
    assert peek.total
    assert len(peek.entries) > 100
    assert set(peek.entries.values()) == {None}
