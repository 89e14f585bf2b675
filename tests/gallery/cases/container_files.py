"""Weight files that are cut, padded, or something else under the name."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import socket
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks import CheckpointError, HubError
from tests.gallery.harness import Case
from tests.gallery.sound import MODEL, pack, tensors

GIB = 1 << 30


class Canary:
    """Makes a file beside the one it is unpickled from."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch canary",)


def raw(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / MODEL).write_bytes(data)


def change(how: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        path = folder / MODEL
        path.write_bytes(how(path.read_bytes()))

    return damage


def instead(how: Callable[[Path], object]) -> Callable[[Path], object]:
    """Something else at its path."""

    def damage(folder: Path) -> None:
        (folder / MODEL).unlink()
        how(folder / MODEL)

    return damage


def sparse(head: bytes, size: int) -> Callable[[Path], object]:
    """Some bytes, and then zeros that take no room on the disk."""

    def damage(folder: Path) -> None:
        (folder / MODEL).write_bytes(head)
        os.truncate(folder / MODEL, size)

    return damage


def grown(folder: Path) -> None:
    os.truncate(folder / MODEL, 4 * GIB)


def zipped() -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Canary()))
    return found.getvalue()


def tarred() -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as archive:
        info = tarfile.TarInfo(MODEL)
        info.size = len(SOUND)
        archive.addfile(info, io.BytesIO(SOUND))
    return found.getvalue()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def nowhere(path: Path) -> None:
    path.symlink_to("gone.safetensors")


def itself(path: Path) -> None:
    path.symlink_to(path.name)


def outside(path: Path) -> None:
    other = path.parent.parent / "other"
    other.mkdir()
    (other / MODEL).write_bytes(SOUND)
    path.symlink_to(f"../other/{MODEL}")


def listening(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket may have no more than 107 letters
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)
    os.chdir(here)


def unreadable(folder: Path) -> None:
    if not os.geteuid():
        pytest.skip("root may read every file")
    (folder / MODEL).chmod(0)


SOUND = pack(tensors())
HEADER = int.from_bytes(SOUND[:8], "little")
LENGTH = (HEADER).to_bytes(8, "little")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"


def case(name: str, damage: Callable[[Path], object], reason: str, header: int = 0) -> Case:
    return Case(name, damage, CheckpointError, reason, file=MODEL, header=header)


def no_file(name: str, how: Callable[[Path], object], reason: str) -> Case:
    return Case(name, instead(how), HubError, reason, file=MODEL)


CASES = [
    case("empty", raw(b""), "^is empty"),
    case("one byte", raw(b"{"), "only 1 bytes"),
    case("seven bytes", raw(SOUND[:7]), "only 7 bytes"),
    case("a length and no more", raw(SOUND[:8]), f"cut short in its header: {HEADER} bytes"),
    case("eight zeros", raw(bytes(8)), "no header at its beginning"),
    case("a header of length 0", change(lambda d: bytes(8) + d[8:]), "no header at its beginning"),
    case(
        "a length of 2^64 - 1",
        change(lambda d: b"\xff" * 8 + d[8:]),
        "has 18446744073709551615 bytes",
    ),
    case(
        "a length of 2^63",
        change(lambda d: bytes(7) + b"\x80" + d[8:]),
        "has 9223372036854775808 bytes",
    ),
    case("a length of the other end", change(lambda d: d[7::-1] + d[8:]), "bytes, over the limit"),
    case(
        "a length one too small",
        change(lambda d: (HEADER - 1).to_bytes(8, "little") + d[8:]),
        "is not valid JSON",
    ),
    case(
        "a length past the end",
        change(lambda d: len(d).to_bytes(8, "little") + d[8:]),
        "cut short in its header: 8 bytes",
    ),
    case(
        "a header of 33 MiB",
        sparse((33 << 20).to_bytes(8, "little") + b"{", 40 << 20),
        "has 34603008 bytes, over the limit of 33554432",
    ),
    case(
        "a header of 3 GiB",
        sparse((3 * GIB).to_bytes(8, "little") + b"{", 4 * GIB),
        "has 3221225472 bytes, over the limit",
    ),
    case(
        "a header of 30 MiB of zeros",
        sparse((30 << 20).to_bytes(8, "little") + b"{", 40 << 20),
        "is not valid JSON",
        30 << 20,
    ),
    case("cut in its header", change(lambda d: d[:200]), "cut short in its header"),
    case(
        "cut after its header", change(lambda d: d[: 8 + HEADER]), "cut short: \\d+ of \\d+ bytes"
    ),
    case("cut in its data", change(lambda d: d[:-5000]), "cut short: 5000 of"),
    case("one byte short", change(lambda d: d[:-1]), "cut short: 1 of"),
    case("one byte too long", change(lambda d: d + b"\0"), "1 bytes after its last tensor"),
    case("twice in one file", change(lambda d: d + d), "bytes after its last tensor"),
    case("a zip archive behind it", change(lambda d: d + zipped()), "bytes after its last tensor"),
    case("4 GiB of zeros behind it", grown, "bytes after its last tensor"),
    case("one byte before it", change(lambda d: b"\0" + d), "no header at its beginning"),
    case("zeros, as a download begins", sparse(b"", len(SOUND)), "no header at its beginning"),
    case("noise", raw(bytes((7 * i * i + 129) % 256 for i in range(900))), "no header at its begi"),
    case("a pickle", raw(pickle.dumps(Canary(), 4)), "a Python pickle; pickles are never opened"),
    case("an old pickle", raw(pickle.dumps(Canary(), 2)), "a Python pickle; pickles are never"),
    case("the first pickle", raw(pickle.dumps(Canary(), 0)), "no header at its beginning"),
    case("what torch.save writes", raw(zipped()), "a zip archive, most likely a PyTorch pickle"),
    case("a GGUF file", raw(b"GGUF\x03\0\0\0" + bytes(800)), "but a GGUF file"),
    case("an HDF5 file", raw(b"\x89HDF\r\n\x1a\n" + bytes(800)), "but an HDF5 file"),
    case("a gzip archive", raw(gzip.compress(SOUND)), "but a gzip archive"),
    case("a tar archive", raw(tarred()), "no safetensors file"),
    case("a web page", raw(b"\n<!DOCTYPE html>\n<html><body>Sign in"), "but a web page"),
    case("an answer in JSON", raw(b'{"error": "Repository not found"}'), "but a JSON file"),
    case("an answer in words", raw(b"Entry not found"), "no header at its beginning"),
    case("a pointer of git-lfs", raw(POINTER), "a git-lfs pointer .*`git lfs pull`"),
    no_file("a pipe", os.mkfifo, "is no regular file"),
    no_file("a folder", Path.mkdir, "is no regular file"),
    no_file("a socket", listening, "is no regular file"),
    no_file("a link to a device", device, "leads out of its folder, to /dev/zero"),
    no_file("a link to another folder", outside, "leads out of its folder, to .*/other/model"),
    no_file("a link to nothing", nowhere, "a link to nothing"),
    no_file("a link to itself", itself, "link"),
    case("nobody may read it", unreadable, "can't be opened: Permission denied"),
]
