"""Large pages of memory for the weights that each step reads."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from blocks.embedding.token import TokenEmbedding

_PAGE = 2**21
_LEAST = 2**25  # bytes: less stays in a cache
_TABLES = (nn.Embedding, TokenEmbedding)  # of which a step reads a row
_SYSTEM = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MEMORY = Path("/proc/meminfo")
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


def settle(model: nn.Module) -> int:
    """Moves what a model reads whole in each step to memory in large pages; how many bytes.

    Its weights are read one after another, and the processor looks up where each page lies: 512
    times less often in pages of 2 MiB than in those of 4 KiB. Tensors stay the objects that they
    are. Nothing is moved where the system has no such pages, and where it would fill more than half
    of the memory that is free: numbers in a file can be read again, these can't. What shares its
    memory with another tensor stays there.
    """
    tensors = [t for part in model.modules() if not isinstance(part, _TABLES) for t in _own(part)]
    lone = _alone([*model.parameters(), *model.buffers()])
    wanted = {id(t): t for t in tensors if id(t) in lone and t.is_contiguous()}
    moved = list(wanted.values())
    size = sum(_rounded(t.nbytes) for t in moved)
    if size < _LEAST or 2 * size > _free():
        return 0
    room = mmap.mmap(-1, size + _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    room.madvise(mmap.MADV_HUGEPAGE)
    at = -torch.frombuffer(room, dtype=torch.uint8).data_ptr() % _PAGE
    for tensor in moved:
        home = torch.frombuffer(room, dtype=tensor.dtype, count=tensor.numel(), offset=at)
        tensor.data = home.view(tensor.shape).copy_(tensor.data)
        at += _rounded(tensor.nbytes)
    return size


def _own(part: nn.Module) -> Iterator[Tensor]:
    return chain(part.parameters(False), part.buffers(False))


def _rounded(size: int) -> int:
    return -(-size // 64) * 64  # to whole lines of a cache


def _alone(tensors: Iterable[Tensor]) -> set[int]:
    """Tensors (by their id) of which no other one has a number."""
    by_place = sorted({id(t): t for t in tensors if t.numel()}.values(), key=Tensor.data_ptr)
    shared: set[int] = set()
    furthest, last = 0, 0
    for tensor in by_place:
        if tensor.data_ptr() < furthest:
            shared |= {id(tensor), last}
        if tensor.data_ptr() + tensor.nbytes > furthest:
            furthest, last = tensor.data_ptr() + tensor.nbytes, id(tensor)
    return {id(t) for t in by_place} - shared


def _free() -> int:
    """Bytes of memory that large pages may be taken from; 0 where there are none."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return 0
    try:
        if "[never]" in _SYSTEM.read_text():
            return 0
        lines = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
        free = 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return 0
    try:
        return min(free, int(_LIMIT.read_text()))
    except (OSError, ValueError):  # no limit is the word "max"
        return free
