"""The kernels compile for processors other than this one, and with whichever compilers are here."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from torch.utils import cpp_extension

from blocks.ops import native

SOURCE = Path(native.__file__).parent / "kernels" / native.SOURCES[0]
OLD, AVX2, AVX512 = "-march=x86-64-v2", "-march=x86-64-v3", "-march=x86-64-v4"
COMPILERS = {
    "g++": (OLD, AVX2, AVX512),
    "clang++": (OLD, AVX2, AVX512),
    "aarch64-linux-gnu-g++": ("-mcpu=neoverse-n1",),
}


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are for x86-64")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_kernels_compile(compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not on this machine")
    folders = [f"-isystem{folder}" for folder in cpp_extension.include_paths("cpu")]
    for processor in COMPILERS[compiler]:
        flags = ["-fsyntax-only", *native.FLAGS, processor, *folders]
        done = subprocess.run([compiler, *flags, str(SOURCE)], capture_output=True, text=True)
        assert done.returncode == 0, f"{processor}: {done.stderr[-2000:]}"
