"""The library's own kernels in C++: compiled when `optimize` first wants them, then kept."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__: list[str] = []

KINDS = (torch.float32, torch.bfloat16, torch.float16)
SOURCES = ("library.cpp", "tape.h", "look.h", "packed.h", "products.h", "vectors.h")
SOURCES += ("prefill.h", "attend.h", "blocked.h", "rows.h")
SOURCES += ("learning.h", "flash.h", "training.h")
# Rows up to which the kernel, which reads faster, beats torch's product, which computes faster.
FEW = {torch.float32: 16, torch.bfloat16: 4, torch.float16: 8}
FEW_PACKED = 0  # the same, of weights in 8 or 4 bits, which torch's product would want unpacked
MANY = 0  # rows of bfloat16 from which on another kernel beats it; 0 where there is none
PAIRS = 32  # of which that kernel reads a whole number
FLAGS = ["-O3", "-std=c++20"]

LANES = 16  # channels of which the kernels for training read a whole number

_loaded = False
_learning = False  # whether they are asked for in training


def learn(on: bool) -> None:
    """From now on, what is loaded is used in training too, or not."""
    global _learning
    _learning = on


def learns(*tensors: Tensor) -> bool:
    """Whether a gradient is wanted here, and kernels are to find it, which may read these."""
    if not (_learning and _loaded and torch.is_grad_enabled()) or torch.compiler.is_compiling():
        return False
    first = tensors[0]
    return (
        not torch._C._are_functorch_transforms_active()  # which want rules of their own
        and first.device.type == "cpu"
        and first.dtype in KINDS
        and all(t.dtype == first.dtype and t.device == first.device for t in tensors)
        and all(t.stride(-1) == 1 and t.shape[-1] % LANES == 0 for t in tensors)
        and any(t.requires_grad for t in tensors)
    )


def suits(*tensors: Tensor) -> bool:
    """Whether the kernels are there and may read these: one dtype, on the CPU, nothing to learn."""
    first = tensors[0]
    return (
        _loaded
        and first.device.type == "cpu"
        and first.dtype in KINDS
        and all(t.dtype == first.dtype and t.is_contiguous() for t in tensors)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
    )


def suits_many(*tensors: Tensor) -> bool:
    """Whether the kernels for many rows may read these, whose last columns lie side by side."""
    return (
        MANY > 0
        and all(t.dtype == torch.bfloat16 and t.device.type == "cpu" for t in tensors)
        and all(t.stride(-1) == 1 and t.shape[-1] % PAIRS == 0 for t in tensors)
        and all(t.numel() for t in tensors)
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
    )


def suits_rows(*tensors: Tensor) -> bool:
    """Whether the kernels for what lies between products may read these, of one 16-bit dtype."""
    first = tensors[0]
    return (
        _loaded
        and first.dtype in (torch.bfloat16, torch.float16)
        and all(t.dtype == first.dtype and t.device.type == "cpu" for t in tensors)
        and all(t.stride(-1) == 1 and t.numel() for t in tensors)
        and not torch.compiler.is_compiling()  # which makes one pass of several by itself
        and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))
    )


@cache
def obstacle() -> str | None:
    """Why the kernels can't be used, or None once they are compiled and loaded.

    Compiling takes some seconds. What comes of it lies where torch keeps its extensions
    (`TORCH_EXTENSIONS_DIR`), under a name that tells sources, torch and processor apart.
    """
    # torch's tools for extensions are slow to import, and few programs want them.
    from torch.utils import cpp_extension

    here = Path(__file__).parent / "kernels"
    native = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"
    told = [torch.__version__, torch.backends.cpu.get_cpu_capability(), platform.processor()]
    told += [*FLAGS, native, *((here / name).read_text() for name in SOURCES)]
    name = "blocks_" + hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]
    root = os.environ.get("TORCH_EXTENSIONS_DIR") or cpp_extension.get_default_build_root()
    folder = Path(root) / name
    try:
        with _beside_python(), _alone(folder):
            if not cpp_extension.is_ninja_available():
                return "ninja is missing, with which torch compiles: pip install ninja"
            cpp_extension.load(
                name,
                str(here / SOURCES[0]),
                build_directory=str(folder),
                extra_cflags=[*FLAGS, native],
                is_python_module=False,
            )
    except (RuntimeError, OSError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return f"the C++ compiler failed: {lines[-1] if lines else type(error).__name__}"
    _tell_shapes()
    FEW[torch.bfloat16] = torch.ops.blocks.few()  # more where the processor multiplies pairs
    global _loaded, FEW_PACKED, MANY
    FEW_PACKED = torch.ops.blocks.few_packed()
    _loaded, MANY = True, torch.ops.blocks.many()
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else builds here; whoever died over it has left a lock that torch waits for."""
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # which has no such locks
        yield
        return
    import fcntl

    with (folder / "building").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)  # the system opens it when a process ends
        (folder / "lock").unlink(missing_ok=True)
        yield


@contextmanager
def _beside_python() -> Iterator[None]:
    """Programs that pip has put beside Python are found, also where nobody activated anything."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _tell_shapes() -> None:
    """What torch.compile has to know of the kernels."""

    def products(x: Tensor, weights: list[Tensor], counts: Any = ()) -> Tensor:
        outs = [len(weight) for weight in weights]
        return x.new_empty(x.shape[0], sum(outs) // (len(counts) or 1))

    def packed(x: Tensor, weights: Any, scales: Any, outs: list[int], counts: Any = ()) -> Tensor:
        return x.new_empty(x.shape[0], sum(outs) // (len(counts) or 1))

    def packed_gated(
        x: Tensor, weights: Any, scales: Any, outs: list[int], act: int, counts: Any = ()
    ) -> Tensor:
        return x.new_empty(x.shape[0], outs[0])

    def look(q: Tensor, k: Tensor, v: Tensor, last: Tensor, scale: float) -> Tensor:
        return q.new_empty(q.shape[0], q.shape[1], v.shape[3])

    def dense(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
        return x.new_empty(x.shape[0], sum(len(weight) for weight in weights))

    def gated(x: Tensor, weights: list[Tensor], biases: list[Tensor], act: int) -> Tensor:
        return x.new_empty(x.shape[0], len(weights[0]))

    def attend(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> Tensor:
        return q.new_empty(q.shape[0], q.shape[2], q.shape[1], v.shape[3]).transpose(1, 2)

    for name, shape in {
        "products": products,
        "products8": packed,
        "products4": packed,
        "gated8": packed_gated,
        "gated4": packed_gated,
        "look": look,
        "dense": dense,
        "gated": gated,
        "attend": attend,
    }.items():
        torch.library.register_fake(f"blocks::{name}", shape)
