"""Safetensors files written byte by byte, so that they can be wrong in any way; and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import HubError
from blocks.hub.source import resolve

BITS = {"F32": 32, "F64": 64, "BF16": 16, "F16": 16, "I8": 8, "BOOL": 8, "F4": 4}


def entry(dtype: str, shape: list[int], start: int = 0) -> dict[str, Any]:
    """A sound description of a tensor whose data begin at `start`."""
    bits = BITS[dtype]
    for size in shape:
        bits *= size
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, start + bits // 8]}


def file(header: Any, data: bytes = b"", *, length: int | None = None, pad: int = 0) -> bytes:
    """A file with this header (a value for JSON, or the bytes themselves) and these data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    raw += b" " * pad
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def weights(*names: str, value: int = 0) -> bytes:
    """A sound file with one F32 vector of two numbers a name."""
    header = {name: entry("F32", [2], 8 * at) for at, name in enumerate(names)}
    return file(header, bytes([value]) * 8 * len(names))


def many(count: int) -> bytes:
    """A sound file of so many BF16 matrices of 2 × 2 numbers, named like experts."""
    tensors = (
        f'"model.layers.{i}.mlp.experts.{i}.weight":'
        f'{{"dtype":"BF16","shape":[2,2],"data_offsets":[{8 * i},{8 * i + 8}]}}'
        for i in range(count)
    )
    return file(("{" + ",".join(tensors) + "}").encode(), bytes(8 * count))


def index(weight_map: Any, **more: Any) -> bytes:
    """An index file."""
    return json.dumps({**more, "weight_map": weight_map}).encode()


FILES: dict[str, bytes | Path] = {"config.json": b"{}", "model.safetensors": weights("a")}


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch the Hub off as HF_HUB_OFFLINE=1 does."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def refusal(*args: object, **options: object) -> HubError:
    with pytest.raises(HubError) as caught:
        resolve(*args, **options).need("config.json")  # pyright: ignore[reportArgumentType]
    assert caught.value.hint
    assert "hf_" not in str(caught.value)
    return caught.value
