"""A mixture of experts: how fast a small Mixtral writes, beside transformers.

    python examples/benchmarks/mixture.py --json mixture.json

Needs `pip install transformers ninja`. Of eight experts a token runs two, so that a step reads a
quarter of them. Each side reads a text and writes after it, turn about. litgpt and llama.cpp join
where they are installed, each in a process of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from _common import TOY, facts, in_turn, limits, loaded, of_limits, tell, their_paces
from _others import present, pythons, served
from decode import ITS_NAMES, compared, made, reached

from blocks.speed.measuring import paces

MIXTRAL = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "vocab_size": 32000,
}


@click.command()
@click.option("--context", default=512, show_default=True, help="tokens that are read")
@click.option("--tokens", default=16, show_default=True, help="that are written after them")
@click.option("--sides", default="plain,bfloat16", show_default=True, help="of ours")
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--toy", is_flag=True, help="a tiny shape, to try the script")
@click.option("--compile/--no-compile", default=True)
@pythons("litgpt", "llama")
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the figures here")
def main(
    context: int,
    tokens: int,
    sides: str,
    rounds: int,
    threads: int,
    toy: bool,
    compile: bool,
    file: Path | None,
    **given: str | None,
) -> None:
    """Compare reading and writing of a mixture."""
    torch.set_num_threads(threads)
    shape: dict[str, Any] = {**MIXTRAL, **(TOY if toy else {})}
    theirs, ours = loaded("Mixtral", shape, torch.bfloat16)
    models = {side: made(side, ours, compile) for side in sides.split(",")}
    kinds = tuple(ITS_NAMES[side] for side in models if side in ITS_NAMES)
    others = served(present(given), shape, threads, kinds)
    turn: Any = {side: paces(model, context, tokens, 1, rounds) for side, model in models.items()}
    turn["transformers"] = their_paces(theirs, context, tokens, 1)
    asked = {"context": context, "tokens": tokens, "batch": 1}
    found = in_turn(turn | {one.name: one.rounds(**asked) for one in others}, rounds)
    for one in others:
        one.close()
    bounds = limits(torch.bfloat16, rounds, toy)
    most, seen = bounds["bytes read a second"]["median"], context + tokens // 2
    rows = compared(found, 1)
    rows += [reached(model, side, seen, found[side], most) for side, model in models.items()]
    about = facts(shape=shape, dtype="bfloat16", context=context, tokens=tokens, rounds=rounds)
    tell("mixture", about, rows + of_limits(bounds), file)


if __name__ == "__main__":
    main()
