"""State-space models on a processor: how fast they read a text, and how evenly they write.

    python examples/benchmarks/state_space.py mamba --dtype bfloat16

Needs `pip install transformers`. Both libraries run the same fresh weights at the shape of the
published model with 130 million parameters, turn about, so that a busy moment of the machine slows
both. What counts are the ratios: their median, and the smallest and largest.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import click
import torch
from _common import facts, loaded, ratios, row, tell
from torch import Tensor

import blocks
from blocks.speed.measuring import Spread, seconds

SHAPES = {
    "mamba": ("Mamba", {}),
    "mamba2": (
        "Mamba2",
        {
            "hidden_size": 768,
            "num_heads": 24,
            "head_dim": 64,
            "n_groups": 1,
            "vocab_size": 50288,
            "tie_word_embeddings": True,
        },
    ),
}


Rows = list[dict[str, Any]]


def reading(theirs: torch.nn.Module, ours: blocks.CausalLM, tokens: Tensor, rounds: int) -> Rows:
    """How long a text takes with both, up to the logits after its last token."""

    def prefill() -> Tensor:
        return ours(tokens, state=ours.init_state(1), last=True)

    def reference() -> Tensor:
        return theirs(tokens, use_cache=True, logits_to_keep=1).logits

    first, second = prefill().float(), reference().float()  # which also warms both up
    off = float((first - second).abs().max() / second.std())
    print(f"logits differ by {off:.1e} of their spread")
    pairs = [(seconds(prefill), seconds(reference)) for _ in range(rounds)]
    mine, other = zip(*pairs, strict=True)
    what = f"reading {tokens.shape[1]} tokens"
    return [
        row(f"{what}: blocks", "s", Spread.of(mine)),
        row(f"{what}: transformers", "s", Spread.of(other)),
        row(f"{what}, as fast: blocks / transformers", "×", ratios(other, mine), ratio=True),
    ]


def writing(ours: blocks.CausalLM, contexts: tuple[int, ...], steps: int) -> Rows:
    """How long a token takes after texts of several lengths, each length in its turn."""
    states = {}
    for length in contexts:
        states[length] = ours.init_state(1)
        ours(torch.randint(ours.vocab, (1, length)), state=states[length], last=True)
    token = torch.zeros(1, 1, dtype=torch.long)
    times: dict[int, list[float]] = {length: [] for length in contexts}
    for step in range(steps + 3):
        for length, state in states.items():
            spent = seconds(lambda state=state: ours(token, state=state))
            times[length] += [spent] if step >= 3 else []
    shortest = statistics.median(times[contexts[0]])
    rows: Rows = []
    for length, found in times.items():
        what = f"a token after {length}"
        rows.append(row(what, "ms", Spread.of(1e3 * one for one in found)))
        share = Spread.of([statistics.median(found) / shortest])
        rows.append(row(f"{what}, of one after {contexts[0]}", "×", share, ratio=True))
    return rows


@click.command()
@click.argument("kind", type=click.Choice(list(SHAPES)))
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="bfloat16")
@click.option("--layers", default=24)
@click.option("--tokens", default=2048, help="of the text that is read")
@click.option("--rounds", default=5, help="how often both read it")
@click.option("--steps", default=50, help="tokens written after each context")
@click.option("--contexts", default="100,1000,10000", help="how many tokens came before")
@click.option("--threads", default=2)
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the figures here")
def main(
    kind: str,
    dtype: str,
    layers: int,
    tokens: int,
    rounds: int,
    steps: int,
    contexts: str,
    threads: int,
    file: Path | None,
) -> None:
    """Compares KIND with transformers."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    name, options = SHAPES[kind]
    shape = {**options, "num_hidden_layers": layers}
    theirs, ours = loaded(name, shape, getattr(torch, dtype))
    with torch.no_grad():
        text = torch.randint(ours.vocab, (1, tokens))
        rows = reading(theirs, ours, text, rounds) if rounds else []
        rows += writing(ours, tuple(map(int, contexts.split(","))), steps) if steps else []
    tell(kind, facts(layers=layers, dtype=dtype, rounds=rounds), rows, file)


if __name__ == "__main__":
    main()
