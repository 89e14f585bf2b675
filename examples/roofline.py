"""One product of two matrices, written five ways, beside what the machine can do at most.

    python examples/roofline.py --plot docs/roofline.svg

C = A B for square matrices in float32: three loops in Python, NumPy, three loops in C as one would
write them, the same loops in blocks that stay in the cache, and torch. Each is timed on one thread
by a clock that nobody sets; the best of some runs counts. The roofline is Williams, Waterman and
Patterson, "Roofline", 2009: with an intensity of so many FLOPs a byte nobody is faster than the
smaller of the peak and bandwidth × intensity.
"""

from __future__ import annotations

import os

# Which NumPy reads when it is imported.
os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")})

import ctypes
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from blocks.speed.measuring import product_rate, read_rate, seconds

C = r"""
#include <string.h>

void naive(const float *a, const float *b, float *c, long n) {
  for (long i = 0; i < n; i++)
    for (long j = 0; j < n; j++) {
      float sum = 0;
      for (long k = 0; k < n; k++) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
}

/* A block of b, 64 rows of 256 numbers, is 64 KiB: it stays in a cache while all rows of a pass.
   The inner loop walks along rows, which the compiler turns into instructions for many numbers;
   four rows of c share what is read of b. */
enum { ROWS = 64, COLUMNS = 256, TOGETHER = 4 };

void blocked(const float *a, const float *b, float *c, long n) {
  memset(c, 0, n * n * sizeof *c);
  for (long k0 = 0; k0 < n; k0 += ROWS)
    for (long j0 = 0; j0 < n; j0 += COLUMNS) {
      long k1 = k0 + ROWS < n ? k0 + ROWS : n, j1 = j0 + COLUMNS < n ? j0 + COLUMNS : n;
      long i = 0;
      for (; i + TOGETHER <= n; i += TOGETHER) {
        float *c0 = c + i * n, *c1 = c0 + n, *c2 = c1 + n, *c3 = c2 + n;
        for (long k = k0; k < k1; k++) {
          float a0 = a[i * n + k], a1 = a[(i + 1) * n + k];
          float a2 = a[(i + 2) * n + k], a3 = a[(i + 3) * n + k];
          const float *row = b + k * n;
          #pragma GCC ivdep
          for (long j = j0; j < j1; j++) {
            c0[j] += a0 * row[j];
            c1[j] += a1 * row[j];
            c2[j] += a2 * row[j];
            c3[j] += a3 * row[j];
          }
        }
      }
      for (; i < n; i++)
        for (long k = k0; k < k1; k++)
          for (long j = j0; j < j1; j++) c[i * n + j] += a[i * n + k] * b[k * n + j];
    }
}
"""
Product = Callable[[Any, Any], Any]
PYTHON_SIDE = 96  # of the matrices that Python's loops multiply, which take long


def in_python(a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
    """Three loops."""
    n = len(a)
    c = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(n):
            for k in range(n):
                c[i][j] += a[i][k] * b[k][j]
    return c


def in_c(folder: Path) -> dict[str, Product]:
    """Both ways in C, where there is a compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return {}
    source, library = folder / "product.c", folder / "product.so"
    source.write_text(C)
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(source), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))

    def call(name: str) -> Product:
        def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            c = np.empty_like(a)
            getattr(loaded, name)(*(ctypes.c_void_p(x.ctypes.data) for x in (a, b, c)), len(a))
            return c

        return product

    for name in ("naive", "blocked"):
        getattr(loaded, name).argtypes = [*[ctypes.c_void_p] * 3, ctypes.c_long]
    return {"C, three loops": call("naive"), "C, in blocks": call("blocked")}


def ways(folder: Path) -> dict[str, Product]:
    """Each way as a function of two NumPy matrices."""
    with_torch: Product = lambda a, b: (torch.from_numpy(a) @ torch.from_numpy(b)).numpy()  # noqa: E731
    return {"Python": in_python, "NumPy": np.matmul, **in_c(folder), "torch": with_torch}


def measured(name: str, product: Product, side: int, repeats: int) -> dict[str, float]:
    """FLOPs a second of the best run, after a check of what comes out."""
    python = name == "Python"
    side = min(side, PYTHON_SIDE) if python else side
    draw = np.random.default_rng(0)
    a, b = (draw.standard_normal((side, side), dtype=np.float32) for _ in range(2))
    given = (a.tolist(), b.tolist()) if python else (a, b)
    off = np.abs(np.asarray(product(*given)) - a @ b).max()
    assert off < 1e-3 * math.sqrt(side), f"{name} is off by {off}"
    best = min(seconds(lambda: product(*given)) for _ in range(repeats))
    return {"side": side, "seconds": best, "rate": 2 * side**3 / best, "intensity": side / 6}


def draw(found: dict[str, dict[str, float]], read: float, peak: float, file: Path) -> None:
    """The roof, and each way below it, both axes logarithmic."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "blocks", "svg.fonttype": "none", "font.size": 9})
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    x = np.geomspace(0.1, 1000, 200)
    axis.plot(x, np.minimum(peak, read * x), color="black", label="the roof of one thread")
    for name, one in found.items():
        axis.plot(one["intensity"], one["rate"], "o", label=f"{name}, {one['side']:.0f}²")
    axis.set(xscale="log", yscale="log", xlabel="FLOPs a byte, if each number is read once")
    axis.set(ylabel="FLOPs a second")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(file, metadata={"Date": None})


@click.command()
@click.option("--side", default=768, show_default=True, help="of the matrices")
@click.option("--repeats", default=3, show_default=True, help="runs, of which the best counts")
@click.option("--plot", type=click.Path(path_type=Path), help="file of the picture")
def main(side: int, repeats: int, plot: Path | None) -> None:
    """Measure, print a table, and draw the roofline."""
    torch.set_num_threads(1)
    small = side < 256  # a trial of the script
    read = read_rate(repeats, *([10_000] if small else [])).most
    peak = product_rate(torch.float32, repeats, *([64] if small else [])).most
    click.echo(f"limits of one thread: {read / 1e9:.1f} GB/s read, {peak / 1e9:.1f} GFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        there = ways(Path(folder))
        found = {name: measured(name, way, side, repeats) for name, way in there.items()}
    click.echo("| way | matrices | GFLOP/s | of the peak |\n|---|---|---|---|")
    for name, one in sorted(found.items(), key=lambda pair: pair[1]["rate"]):
        rate = one["rate"]
        click.echo(f"| {name} | {one['side']:.0f}² | {rate / 1e9:.3g} | {rate / peak:.2%} |")
    if plot:
        draw(found, read, peak, plot)


if __name__ == "__main__":
    main()
