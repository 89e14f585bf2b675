"""What long texts cost: full attention, a window with global tokens, and hashing.

    python examples/long_context.py --plot docs/long-context.svg

One forward pass of one layer over 1,024 to 16,384 tokens, on one thread: processor time, the best
of several passes, and the most bytes of tensors alive at once. Exponents are slopes of the
logarithms from 2,048 tokens on: 1 is linear, 2 quadratic. Beltagy et al., "Longformer", 2020,
arXiv:2004.05150; Kitaev et al., "Reformer", 2020, arXiv:2001.04451.
"""

from __future__ import annotations

import ctypes
import math
import time
import weakref
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from tqdm import trange

from blocks import Full, GQAttention, LongformerAttention, LSHAttention, Step

DIM, HEADS = 64, 1
RADIUS, GLOBAL = 128, 16
CHUNK, HASHES = 64, 2
LENGTHS = (1024, 2048, 4096, 8192, 16384)
NAMES = {
    "full": "full attention",
    "written": "full attention, all scores in memory",
    "hashed": f"LSH, {HASHES} rounds, chunks of {CHUNK}",
    "window": f"Longformer, {RADIUS} tokens on either side, {GLOBAL} global",
}
SCORES_LIMIT = 2**30  # bytes of scores beyond which they are not written out


def make(name: str, tokens: int) -> nn.Module:
    """One layer, as one would choose it for a text of so many tokens."""
    if name == "window":
        return LongformerAttention(DIM, heads=HEADS, radius=RADIUS)
    if name == "hashed":  # half a chunk a bucket, in two factors: one would make hashing quadratic
        bits = int(math.log2(2 * tokens // CHUNK))
        pair = (2 ** (bits // 2), 2 ** (bits - bits // 2))
        sizes = {"buckets": pair, "chunk": CHUNK, "hashes": HASHES}
        return LSHAttention(DIM, heads=HEADS, mask=Full(), **sizes)
    # No fused kernel knows sinks, so that with them every score is written out.
    return GQAttention(DIM, heads=HEADS, mask=Full(), sinks=name == "written")


class Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that are made under it and not yet gone."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()
        self.bytes: dict[int, int] = {}
        self.now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._add(tensor)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        at = storage.data_ptr()
        if not self.count[at]:
            self.bytes[at] = storage.nbytes()
            self.now += self.bytes[at]
            self.most = max(self.most, self.now)
        self.count[at] += 1
        weakref.finalize(tensor, self._drop, at)

    def _drop(self, at: int) -> None:
        self.count[at] -= 1
        if not self.count[at]:
            self.now -= self.bytes[at]


class Trial:
    """One layer and one text, passed through it as often as one likes."""

    def __init__(self, name: str, tokens: int):
        torch.manual_seed(0)
        self.layer, self.x = make(name, tokens).eval(), torch.randn(1, tokens, DIM)
        self.place = torch.arange(tokens)[None]
        self.name, self.tokens, self.seconds = name, tokens, math.inf
        with Alive() as alive:
            self._pass()
        self.mebibytes = alive.most / 2**20

    @torch.inference_mode()
    def _pass(self) -> None:
        self.layer(self.x, Step(self.place, global_mask=self.place < GLOBAL))

    def run(self) -> None:
        """Keeps the best of all passes in processor seconds."""
        start = time.process_time()
        self._pass()
        self.seconds = min(self.seconds, time.process_time() - start)


def keep_memory() -> None:
    """Lets the process keep what it frees: pages of the system are dear, and no layer's cost."""
    trim_threshold, mmap_max = -1, -4  # of glibc; elsewhere nothing happens
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def exponent(lengths: list[int], values: list[float]) -> float:
    """The slope of the line through the logarithms."""
    x, y = (torch.tensor(row, dtype=torch.float64).log() for row in (lengths, values))
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / x.square().sum())


def draw(rows: dict[str, list[tuple[int, float, float]]], file: Path) -> None:
    """Time and memory side by side, both axes logarithmic."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "blocks", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for at, (axis, title) in enumerate(
        zip(axes, ("processor seconds", "MiB alive at once"), strict=True), 1
    ):
        for name, found in rows.items():
            axis.plot(
                [row[0] for row in found], [row[at] for row in found], "o-", label=NAMES[name]
            )
        axis.set(xscale="log", yscale="log", xlabel="tokens", title=title)
        axis.set_xticks(LENGTHS, [f"{n // 1024}k" for n in LENGTHS], minor=False)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(file, metadata={"Date": None})


@click.command()
@click.option("--repeats", default=9, show_default=True, help="passes, of which the best counts")
@click.option(
    "--longest", default=LENGTHS[-1], show_default=True, help="tokens of the longest text"
)
@click.option("--plot", type=click.Path(path_type=Path), help="file of the picture")
def main(repeats: int, longest: int, plot: Path | None) -> None:
    """Measure, print a table and the exponents, and draw the picture."""
    torch.set_num_threads(1)
    keep_memory()
    lengths = [n for n in LENGTHS if n <= longest]
    written = [n for n in lengths if 4 * HEADS * n**2 <= SCORES_LIMIT]
    trials = [Trial(name, n) for name in NAMES for n in (written if name == "written" else lengths)]
    for _ in trange(repeats):  # in turn, so that a busy moment of the machine hits all alike
        for trial in trials:
            trial.run()
    rows: dict[str, list[tuple[int, float, float]]] = {
        name: [(t.tokens, t.seconds, t.mebibytes) for t in trials if t.name == name]
        for name in NAMES
    }
    click.echo("| layer | " + " | ".join(f"{n}" for n in lengths) + " | exponent |")
    click.echo("|---|" + "---|" * (len(lengths) + 1))
    for at, unit in ((1, "s"), (2, "MiB")):
        for name, found in rows.items():
            cells = [f"{row[at]:.3g}" for row in found] + ["–"] * (len(lengths) - len(found))
            late = found[1:]
            slope = exponent([row[0] for row in late], [row[at] for row in late])
            click.echo(f"| {NAMES[name]}, {unit} | " + " | ".join(cells) + f" | {slope:.2f} |")
    if plot:
        draw(rows, plot)


if __name__ == "__main__":
    main()
