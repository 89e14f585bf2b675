"""Long texts: how fast a small model reads one and writes after it, and what memory that takes.

    python examples/benchmarks/long_context.py --contexts 2048,8192,16384 --json long.json

Needs `pip install transformers ninja`, and Linux for the memory. A Mistral of one shape, once with
full attention and once with a window, which keeps a ring of that many keys and values: `blocks`
reads the text at once, `in pieces` as `generate(..., chunk=1024)` does. The sides take turns.
Memory is what is resident at most beyond what was there before the text: keys, values and what the
layers need meanwhile. litgpt and llama.cpp join, with full attention, where they are installed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import torch
from _common import TOY, Pace, facts, in_turn, limits, loaded, of_limits, ratios, row, tell
from _memory import beyond
from _others import present, pythons, served
from decode import made
from torch import Tensor

from blocks.speed.measuring import Spread, newest

MISTRAL = {
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 8192,
    "max_position_embeddings": 32768,
}
Start = Callable[[Tensor, int], Callable[[], object]]
Rows = list[dict[str, Any]]
Figures = Mapping[str, Sequence[Any]]


class Side:
    """One way to read a text and to write after it.

    Args:
        start: reads a text before so many tokens; what it gives writes one of them.
        vocab: of the model.
    """

    def __init__(self, start: Start, vocab: int):
        self.start, self.vocab = start, vocab

    @torch.no_grad()
    def once(self, context: int, tokens: int, batch: int) -> Pace:
        """Tokens a second of one round."""
        text = torch.randint(self.vocab, (batch, context))
        start = perf_counter()
        write = self.start(text, tokens)
        middle = perf_counter()
        for _ in range(tokens):
            write()
        end = perf_counter()
        return batch * context / (middle - start), batch * tokens / (end - middle)

    def rounds(self, **asked: int) -> Iterator[Pace]:
        """One after another for ever."""
        while True:
            yield self.once(**asked)


def ours(model: Any, piece: int | None) -> Start:
    """Reads a text at once or in pieces."""

    def start(text: Tensor, tokens: int) -> Callable[[], object]:
        state = model.init_state(len(text), text.shape[1] + tokens)
        for part in text.split(piece or text.shape[1], 1):
            new = newest(model(part, state=state, last=True))

        def write() -> None:
            nonlocal new
            new = newest(model(new, state=state))

        return write

    return start


def theirs(model: Any) -> Start:
    """Reads a text at once."""

    def start(text: Tensor, tokens: int) -> Callable[[], object]:
        said = model(text, use_cache=True, logits_to_keep=1)

        def write() -> None:
            nonlocal said
            new = newest(said.logits)
            said = model(new, past_key_values=said.past_key_values, use_cache=True)

        return write

    return start


def sides(shape: dict[str, Any], window: int, piece: int) -> dict[str, Side]:
    """blocks and transformers, each with full attention and with a window."""
    starts = {}
    for kind, reach in (("full", None), (f"window {window}", window)):
        other, model = loaded("Mistral", {**shape, "sliding_window": reach}, torch.bfloat16)
        quick = made("bfloat16", model, compile=False)
        starts[f"blocks, {kind}"] = ours(quick, None)
        starts[f"blocks in pieces, {kind}"] = ours(quick, piece)
        starts[f"transformers, {kind}"] = theirs(other)
    return {name: Side(start, shape["vocab_size"]) for name, start in starts.items()}


def compared(found: Figures, peaks: Figures, context: int) -> Rows:
    """The figures of each side after one context, and ours against the other with as much reach."""
    rows: Rows = []
    for what, unit, values in (
        ("reading", "tokens/s", {name: [one[0] for one in found[name]] for name in found}),
        ("writing after", "tokens/s", {name: [one[1] for one in found[name]] for name in found}),
        ("memory for", "MiB", peaks),
    ):
        title = f"{what} {context:,} tokens"
        for name, each in values.items():
            more: dict[str, Any] = {"context": context, "side": name, "measure": what}
            rows.append(row(f"{title}: {name}", unit, Spread.of(each), **more))
        for name, other in itertools.product(values, values):
            if other in beside(name):
                more = {"context": context, "side": f"{name} / {other}", "measure": what}
                ratio = ratios(values[name], values[other])
                rows.append(row(f"{title}: {more['side']}", "×", ratio, ratio=True, **more))
    return rows


def beside(name: str) -> list[str]:
    """What one of ours is compared with."""
    library, _, kind = name.partition(", ")
    if not library.startswith("blocks"):
        return []
    same = ["litgpt", "llama.cpp BF16"] if name == "blocks, full" else []
    return [f"transformers, {kind}", *same]


@click.command()
@click.option("--contexts", default="2048,8192,16384", show_default=True, help="tokens read")
@click.option("--tokens", default=16, show_default=True, help="that are written after them")
@click.option("--window", default=1024, show_default=True, help="tokens that one sees")
@click.option("--piece", default=1024, show_default=True, help="tokens read at a time")
@click.option("--rounds", default=3, show_default=True, help="at each context")
@click.option("--threads", default=2, show_default=True)
@click.option("--toy", is_flag=True, help="a tiny shape, to try the script")
@pythons("litgpt", "llama")
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the figures here")
def main(
    contexts: str,
    tokens: int,
    window: int,
    piece: int,
    rounds: int,
    threads: int,
    toy: bool,
    file: Path | None,
    **given: str | None,
) -> None:
    """Compare long texts."""
    torch.set_num_threads(threads)
    shape: dict[str, Any] = {**MISTRAL, **(TOY if toy else {})}
    bounds = limits(torch.bfloat16, rounds, toy)
    mine = sides(shape, window, piece)
    others = served(present(given), shape, threads, ("BF16",))
    rows: Rows = []
    for context in map(int, contexts.split(",")):
        asked = {"context": context, "tokens": tokens, "batch": 1}
        peaks = {name: [beyond(partial(one.once, **asked))] for name, one in mine.items()}
        turn = {name: one.rounds(**asked) for name, one in mine.items()}
        turn |= {one.name: one.rounds(**asked) for one in others}
        rows += compared(in_turn(turn, rounds), peaks, context)
    for one in others:
        one.close()
    about = facts(shape=shape, dtype="bfloat16", window=window, piece=piece, tokens=tokens)
    tell("long_context", {**about, "rounds": rounds}, rows + of_limits(bounds), file)


if __name__ == "__main__":
    main()
