"""How fast a model reads a text and writes on: plain and optimised, beside others.

    python examples/benchmarks/decode.py --batches 1,8,32 --json decode.json
    python examples/benchmarks/decode.py --sides bfloat16,int8,int4 --llama-python other/bin/python

Needs `pip install transformers ninja`. Every side reads a text of the same length and writes after
it, turn about; what counts are the ratios of one round: their median, the smallest and the largest.
litgpt, x-transformers and llama.cpp (`llama-cpp-python gguf`) join where they are installed, each
in a process of its own, on a model of the same shape. llama.cpp's matrices are in bf16, Q8_0 or
Q4_0 (the head in Q8_0), as ours are in as many bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from _common import (
    LLAMA,
    TOY,
    Pace,
    facts,
    in_turn,
    limits,
    loaded,
    of_limits,
    ratios,
    row,
    tell,
    their_paces,
)
from _others import present, pythons, served

import blocks
from blocks.speed.measuring import Spread, paces

SIDES = ("plain", "bfloat16", "int8", "int4", "transformers")
ITS_NAMES = {"bfloat16": "BF16", "int8": "Q8_0", "int4": "Q4_0"}


def made(side: str, ours: blocks.CausalLM, compile: bool) -> blocks.CausalLM:
    """Our model, plain or prepared."""
    if side == "plain":
        return ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `prepared` says the same
        quick = blocks.optimize(
            ours, quantize=None if side == "bfloat16" else side, compile=compile
        )
    print(f"{side}: " + "; ".join(quick.prepared))
    return quick


def compared(found: dict[str, list[Pace]], batch: int) -> list[dict[str, Any]]:
    """Rates of each side, and ours against each of the others that has as many bits."""
    rows = []
    for at, what in enumerate(("prefill", "decode")):
        title = f"{what}, batch {batch}"
        for side, rates in found.items():
            spread = Spread.of(rate[at] for rate in rates)
            rows.append(row(f"{title}: {side}", "tokens/s", spread, batch=batch, measure=what))
        for side, rates in found.items():
            for other in beside(side):
                if other in found:
                    ratio = ratios((r[at] for r in rates), (r[at] for r in found[other]))
                    more: dict[str, Any] = {"batch": batch, "measure": what, "ratio": True}
                    rows.append(row(f"{title}: {side} / {other}", "×", ratio, **more))
    return rows


def beside(side: str) -> list[str]:
    """What one of ours is compared with: transformers, and what has as many bits."""
    if side not in ("plain", *ITS_NAMES):
        return []
    same = ["litgpt", "x-transformers"] if side in ("plain", "bfloat16") else []
    return ["transformers", *same, f"llama.cpp {ITS_NAMES.get(side)}"]


def shared(side: str, batch: int, rates: list[Pace], alone: list[Pace]) -> dict[str, Any]:
    """What a batch writes of what one text alone does, though their rounds took no turns."""
    ratio = ratios((rate[1] for rate in rates), (rate[1] for rate in alone))
    return row(f"decode, batch {batch} / batch 1: {side}", "×", ratio, ratio=True)


def reached(model: Any, side: str, context: int, rates: list[Pace], most: float) -> dict[str, Any]:
    """The share of the memory's rate that writing one text reaches."""
    read = blocks.explain(model, context=context).root.bytes_read
    share = Spread.of(rate[1] * read / most for rate in rates)
    return row(f"decode, batch 1: {side}, share of bytes read", "×", share, ratio=True)


@click.command()
@click.option("--sides", default=",".join(SIDES), show_default=True)
@click.option("--batches", default="1", show_default=True, help="texts at once, one by one")
@click.option("--context", default=512, show_default=True, help="tokens that are read")
@click.option("--tokens", default=16, show_default=True, help="that are written after them")
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--toy", is_flag=True, help="a tiny shape, to try the script")
@click.option("--layers", type=int, help="fewer than the shape has")
@click.option("--compile/--no-compile", default=True)
@pythons("litgpt", "x-transformers", "llama")
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the figures here")
def main(
    sides: str,
    batches: str,
    context: int,
    tokens: int,
    rounds: int,
    threads: int,
    toy: bool,
    layers: int | None,
    compile: bool,
    file: Path | None,
    **given: str | None,
) -> None:
    """Compare reading and writing."""
    torch.set_num_threads(threads)
    shape = dict(TOY if toy else LLAMA)
    shape["num_hidden_layers"] = layers or shape["num_hidden_layers"]
    wanted = sides.split(",")
    theirs, ours = loaded("Llama", shape, torch.bfloat16)
    models = {side: made(side, ours, compile) for side in wanted if side != "transformers"}
    kinds = tuple(ITS_NAMES[side] for side in models if side in ITS_NAMES)
    others = served(present(given), shape, threads, kinds)
    rows: list[dict[str, Any]] = []
    bounds = limits(torch.bfloat16, rounds, toy)
    most = bounds["bytes read a second"]["median"]
    first: dict[str, list[Pace]] = {}
    for batch in map(int, batches.split(",")):
        turn: dict[str, Iterator[Pace]] = {
            side: paces(model, context, tokens, batch, rounds) for side, model in models.items()
        }
        if "transformers" in wanted:
            turn["transformers"] = their_paces(theirs, context, tokens, batch)
        asked = {"context": context, "tokens": tokens, "batch": batch}
        found = in_turn(turn | {one.name: one.rounds(**asked) for one in others}, rounds)
        rows += compared(found, batch)
        rows += [shared(side, batch, found[side], first[side]) for side in models if first]
        if batch == 1:
            first, seen = found, context + tokens // 2
            rows += [reached(models[s], s, seen, found[s], most) for s in models]
    for one in others:
        one.close()
    about = facts(shape=shape, dtype="bfloat16", context=context, tokens=tokens, rounds=rounds)
    tell("batches" if "," in batches else "decode", about, rows + of_limits(bounds), file)


if __name__ == "__main__":
    main()
