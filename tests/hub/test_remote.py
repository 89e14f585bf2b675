"""Checkpoints on the Hub: which files are fetched, and headers read without fetching any."""

from __future__ import annotations

import pytest

from blocks.errors import CheckpointError
from blocks.hub.checkpoint import open_checkpoint, peek_checkpoint
from blocks.hub.source import resolve
from tests.hub.craft import entry, file, go_offline, index, weights
from tests.hub.loopback import HubServer
from tests.hub.uploads import GATED, TOKEN

REPO = "org/model"


# Headers from afar


@pytest.mark.parametrize("redirect", [False, True])
def test_peek_reads_headers_by_ranges(hub_server: HubServer, redirect: bool) -> None:
    names = [f"model.layers.{i}.weight" for i in range(3_000)]
    big = file({n: entry("I8", [100], 100 * i) for i, n in enumerate(names)}, bytes(300_000))
    hub_server.add(
        REPO,
        {
            "model.safetensors.index.json": index(
                dict.fromkeys(names, "big.safetensors") | {"a": "small.safetensors"}
            ),
            "big.safetensors": big,
            "small.safetensors": file({"a": entry("F32", [100_000])}, bytes(400_000)),
        },
        access=GATED,
    )
    hub_server.redirect = redirect
    peek = peek_checkpoint(resolve(REPO, token=TOKEN))
    assert len(peek.entries) == 3_001
    small = peek.entries["a"]
    assert small is not None
    assert (small.dtype, small.shape, small.file) == ("F32", (100_000,), None)
    fetched = [r for r in hub_server.requests if r.method == "GET" and ".safetensors" in r.path]
    ranges = [request.headers.get("range") for request in fetched if "json" not in request.path]
    assert None not in ranges
    assert len(ranges) == (4 if redirect else 2)  # the index tells how long a header is
    away = [r for r in fetched if "/cdn/" in r.path]
    assert all("authorization" not in request.headers for request in away)
    assert bool(away) == redirect
    got = open_checkpoint(resolve(REPO, token=TOKEN))
    assert {n: e and e[:4] for n, e in peek.entries.items()} == {
        n: e[:4] for n, e in got.entries.items()
    }


def test_remote_header_is_checked_like_a_local_one(hub_server: HubServer) -> None:
    hub_server.add(REPO, {"model.safetensors": weights("a")[:-1]})
    with pytest.raises(CheckpointError, match="cut short: 1 of"):
        peek_checkpoint(resolve(REPO))
    hub_server.add(REPO, {"model.safetensors": b"PK\x03\x04" + bytes(100)})
    with pytest.raises(CheckpointError, match="zip archive"):
        peek_checkpoint(resolve(REPO))


def test_peek_offline_knows_names(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "model.safetensors.index.json"
    hub_server.add(REPO, {name: index({"a": "x.safetensors"}), "x.safetensors": weights("a")})
    resolve(REPO).need(name)
    go_offline(monkeypatch)
    assert peek_checkpoint(resolve(REPO)).entries == {"a": None}
