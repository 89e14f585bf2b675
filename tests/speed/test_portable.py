"""The kernels compile for other processors and by other compilers, whoever died over it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
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


@pytest.mark.slow
def test_a_builder_that_died_keeps_nobody_waiting(tmp_path: Path) -> None:
    """torch marks a folder in which it builds by a file, and waits while there is one."""
    if reason := native.obstacle():
        pytest.skip(reason)
    (built,) = {Path(line.split()[-1]).parent for line in _mapped() if "/blocks_" in line}
    folder = tmp_path / built.name
    shutil.copytree(built, folder)
    (folder / "lock").touch()
    code = "from blocks.ops import native; print(native.obstacle())"
    env = {**os.environ, "TORCH_EXTENSIONS_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "None", done.stderr
    assert not (folder / "lock").exists()


def _mapped() -> list[str]:
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line]
