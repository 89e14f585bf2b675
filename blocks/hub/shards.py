"""Tensors into safetensors files, without a second copy of them in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from blocks.errors import CheckpointError
from blocks.hub.folder import Draft
from blocks.hub.progress import progress

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
_ALIGNED = 8  # bytes; data begin there
# What the format has words for, under torch's names, in the order in which its writers put them.
_NAMES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "complex64": "C64",
    "float32": "F32", "uint32": "U32", "int32": "I32",
    "bfloat16": "BF16", "float16": "F16", "uint16": "U16", "int16": "I16",
    "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


def read_size(size: int | str) -> int:
    """Bytes of "5GB", "300MB" or a number of bytes."""
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    if isinstance(size, str) and size[-2:].upper() in _UNITS and size[:-2].strip().isdecimal():
        return int(size[:-2]) * _UNITS[size[-2:].upper()]
    raise CheckpointError(
        f"{size!r} is not a size", field="max_shard_size", hint='such as "5GB" or 300_000_000'
    )


def write_tensors(
    draft: Draft, parts: Mapping[str, tuple[int, Callable[[], Tensor]]], largest: int
) -> None:
    """safetensors in one file, or in shards with an index.

    Args:
        draft: where to.
        parts: name -> (bytes, how to get the tensor), so that joined tensors exist one shard long.
        largest: bytes of a shard.
    """
    shards: list[list[str]] = [[]]
    room = largest
    for name, (nbytes, _) in parts.items():
        if nbytes > room and shards[-1]:
            shards.append([])
            room = largest
        shards[-1].append(name)
        room -= nbytes
    count = len(shards)
    names = ["model.safetensors"]
    if count > 1:
        names = [f"model{draft.mark}-{n + 1:05}-of-{count:05}.safetensors" for n in range(count)]
    for file, members in progress(list(zip(names, shards, strict=True)), "saving"):
        tensors = {name: parts[name][1]().detach().cpu().contiguous() for name in members}
        draft.add(file, safetensors_bytes(tensors))
    if count > 1:
        index = {
            "metadata": {"total_size": sum(nbytes for nbytes, _ in parts.values())},
            "weight_map": {n: f for f, ms in zip(names, shards, strict=True) for n in ms},
        }
        draft.json("model.safetensors.index.json", index)


def safetensors_bytes(tensors: Mapping[str, Tensor]) -> list[bytes | memoryview]:
    """A safetensors file: the length of its header, the header, and the bytes of each tensor."""
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()}
    for name, kind in kinds.items():
        if kind not in _NAMES:
            raise CheckpointError(f"is {kind}, which can't be saved", tensor=name)
    order = list(_NAMES)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data: list[memoryview] = []
    at = 0
    for name in sorted(tensors, key=lambda name: (order.index(kinds[name]), name)):
        data.append(_bytes(tensors[name]))
        span = [at, at := at + len(data[-1])]
        shape = list(tensors[name].shape)
        header[name] = {"dtype": _NAMES[kinds[name]], "shape": shape, "data_offsets": span}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    return [len(text).to_bytes(8, "little"), text, *data]


def _bytes(tensor: Tensor) -> memoryview:
    """The memory of a tensor."""
    plain = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return plain.reshape(-1).view(torch.uint8).numpy().data
