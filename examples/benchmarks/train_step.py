"""A training step of a LLaMA on a processor: how long it takes, and what memory it wants.

    python examples/benchmarks/train_step.py --dtype bfloat16

Needs `pip install transformers`, and Linux for the memory. Both libraries train the same fresh
weights on the same tokens with the same optimiser: forward, backward and AdamW; ours by the kernels
that `use_kernels` asks for, and without them (plain). Time is taken turn about, so that a busy
moment of the machine slows all; what counts are the ratios. litgpt and x-transformers join where
they are installed, each in a process of its own, on drawn weights of the same shape and with their
own losses. Memory is taken in a process of its own for each: the most that was resident during a
step, less what was before it, where parameters, gradients and the optimiser's state were there
already.
"""

from __future__ import annotations

import itertools
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
import transformers
from _common import facts, in_turn, ratios, row, tell
from _others import present, pythons, served
from _step import Step, peak, stepping, taken
from torch import Tensor

import blocks
from blocks.speed.measuring import Spread

OURS = ("blocks", "plain", "checkpointed")
Rows = list[dict[str, Any]]


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

        def learnt() -> Tensor:
            blocks.use_kernels(which != "plain")
            return blocks.next_token_loss(ours, tokens)

        model, loss = ours, learnt
    return stepping(model, loss, keep)


def memory(which: str, folder: str, dtype: str, tokens: Tensor, threads: int) -> float:
    """MiB that a step takes beyond what is there before and after it."""
    torch.set_num_threads(threads)
    transformers.logging.disable_progress_bar()
    return peak(training(which, folder, dtype, tokens, keep=True))


def compared(found: dict[str, list[float]], what: str, ratio: str, unit: str) -> Rows:
    """The figures of each side, and ours against the others: as fast, or of their memory."""
    rows = [row(f"{what}: {name}", unit, Spread.of(values)) for name, values in found.items()]
    for one, other in itertools.product(OURS, found):
        if other not in OURS and (one == "blocks" or other == "transformers"):
            pair = (found[other], found[one]) if unit == "s" else (found[one], found[other])
            more = {"ratio": True, "less": unit == "MiB"}
            rows.append(row(f"{ratio}: {one} / {other}", "×", ratios(*pair), **more))
    return rows


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
@pythons("litgpt", "x-transformers")
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
    **given: str | None,
) -> None:
    """Compares a training step with that of transformers."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    shape = {
        "hidden_size": dim,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": hidden,
        "vocab_size": vocab,
    }
    text = torch.randint(vocab, (batch, tokens))
    there, asked = present(given), {"batch": batch, "tokens": tokens}
    names = (*OURS, "transformers")
    with tempfile.TemporaryDirectory() as folder:
        config = transformers.LlamaConfig(**shape)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
        steps = {name: training(name, folder, dtype, text) for name in names}
        losses = [float(step()) for step in steps.values()]  # which also warms all up
        print("first losses", ", ".join(f"{loss:.5f}" for loss in losses))
        turn = {name: iter(partial(taken, step), None) for name, step in steps.items()}
        sides = served(there, shape, threads, dtype=dtype, train={**asked, "keep": False})
        found = in_turn(turn | {one.name: one.rounds() for one in sides}, rounds)
        for one in sides:
            one.close()
        times = {name: [spent for (spent,) in each] for name, each in found.items()}
        rows = compared(times, "a step", "as fast", "s") if rounds else []
        peaks = {}
        for name in reversed(names):  # each in a process of its own
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                peaks[name] = [pool.submit(memory, name, folder, dtype, text, threads).result()]
    for name, python in there.items():
        (one,) = served({name: python}, shape, threads, dtype=dtype, train={**asked, "keep": True})
        peaks[name] = one.turn(memory=True)
        one.close()
    rows += compared(peaks, "memory", "memory", "MiB")
    about = facts(shape=shape, dtype=dtype, batch=batch, tokens=tokens, rounds=rounds)
    tell("train_step", about, rows, file)


if __name__ == "__main__":
    main()
