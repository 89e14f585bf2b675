"""A training step of a LLaMA on a processor: how long it takes, and what memory it wants.

    python examples/benchmarks/train_step.py --dtype bfloat16

Needs `pip install transformers`, and Linux for the memory. Both libraries train the same fresh
weights on the same tokens with the same optimiser: forward, backward and AdamW. Time is taken turn
about in one process, so that a busy moment of the machine slows both; what counts are the ratios.
Memory is taken in a process of its own for each: the most that was resident during a step, less
what was before it, where parameters, gradients and the optimiser's state were there already.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import torch
import transformers
from _common import facts, ratios, row, tell
from torch import Tensor

import blocks
from blocks.speed.measuring import Spread, seconds

Step = Callable[[], Tensor]


def wrapped(spec: blocks.Spec) -> blocks.Spec:
    """The same model, whose layers compute again in the backward pass what they don't keep."""
    return blocks.rewrite(spec, "layers.*", lambda old: blocks.Spec(blocks.Checkpointed, inner=old))


def training(which: str, folder: str, dtype: str, tokens: Tensor, keep: bool = False) -> Step:
    """One step of training with blocks or transformers, gradients kept allocated or not."""
    kind = getattr(torch, dtype)
    if which == "transformers":
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind).train()
        model, loss = theirs, lambda: theirs(tokens, labels=tokens).loss
    else:
        change = wrapped if which == "checkpointed" else None
        ours = blocks.from_pretrained(folder, dtype=kind, copy=True, rewrite=change).train()
        model, loss = ours, lambda: blocks.next_token_loss(ours, tokens)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> Tensor:
        optimiser.zero_grad(set_to_none=not keep)
        found = loss()
        found.backward()
        optimiser.step()
        return found.detach()

    return step


def resident(line: str) -> float:
    """MiB of this process: `VmRSS` now, `VmHWM` at most."""
    for found in Path("/proc/self/status").read_text().splitlines():
        if found.startswith(line):
            return int(found.split()[1]) / 1024
    raise RuntimeError(f"no {line} in /proc/self/status")


def memory(which: str, folder: str, dtype: str, tokens: Tensor, threads: int) -> float:
    """MiB that a step takes beyond what is there before and after it."""
    torch.set_num_threads(threads)
    transformers.logging.disable_progress_bar()
    step = training(which, folder, dtype, tokens, keep=True)
    for _ in range(2):
        step()
    ctypes.CDLL(None).malloc_trim(0)  # what is free goes back to the system
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is forgotten
    step()
    return resident("VmHWM") - before


@click.command()
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="bfloat16")
@click.option("--dim", default=512)
@click.option("--layers", default=8)
@click.option("--heads", default=8)
@click.option("--kv-heads", default=4)
@click.option("--hidden", default=1536)
@click.option("--vocab", default=32000)
@click.option("--batch", default=4)
@click.option("--tokens", default=256, help="in each row of the batch")
@click.option("--rounds", default=7)
@click.option("--threads", default=2)
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the figures here")
def main(
    dtype: str,
    dim: int,
    layers: int,
    heads: int,
    kv_heads: int,
    hidden: int,
    vocab: int,
    batch: int,
    tokens: int,
    rounds: int,
    threads: int,
    file: Path | None,
) -> None:
    """Compares a training step with that of transformers."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        intermediate_size=hidden,
        vocab_size=vocab,
    )
    text = torch.randint(vocab, (batch, tokens))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
        names = ("blocks", "checkpointed", "transformers")
        steps = {name: training(name, folder, dtype, text) for name in names}
        losses = [float(step()) for step in steps.values()]  # which also warms all up
        print("first losses", ", ".join(f"{loss:.5f}" for loss in losses))
        times: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            for name, step in steps.items():
                times[name].append(seconds(step))
        for name in names if rounds else ():
            rows.append(row(f"a step: {name}", "s", Spread.of(times[name])))
            if name != "transformers":
                ratio = ratios(times["transformers"], times[name])
                rows.append(row(f"as fast: {name} / transformers", "×", ratio, ratio=True))
        peaks = {}
        for name in reversed(names):  # each in a process of its own
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as one:
                peaks[name] = one.submit(memory, name, folder, dtype, text, threads).result()
            rows.append(row(f"memory: {name}", "MiB", Spread.of([peaks[name]])))
            if name != "transformers":
                share = Spread.of([peaks[name] / peaks["transformers"]])
                rows.append(row(f"memory: {name} / transformers", "×", share, ratio=True))
    shape = f"dim {dim}, {layers} layers, {heads}/{kv_heads} heads, hidden {hidden}, vocab {vocab}"
    about = facts(shape=shape, dtype=dtype, batch=batch, tokens=tokens, rounds=rounds)
    tell("train_step", about, rows, file)


if __name__ == "__main__":
    main()
