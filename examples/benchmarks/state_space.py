"""State-space models on a processor: how fast they read a text, and how evenly they write.

    python examples/benchmarks/state_space.py mamba --dtype bfloat16

Needs `pip install transformers`. Both libraries run the same fresh weights at the shape of the
published model with 130 million parameters, turn about, so that a busy moment of the machine slows
both. What counts are the ratios: their median, and the smallest and largest.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import click
import torch
from _common import loaded
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


def spread(values: Iterable[float], unit: str) -> str:
    found = Spread.of(values)
    return f"{found.median:.2f}{unit} ({found.least:.2f} to {found.most:.2f})"


def reading(theirs: torch.nn.Module, ours: blocks.CausalLM, tokens: Tensor, rounds: int) -> None:
    """Prints how long a text takes with both, up to the logits after its last token."""

    def prefill() -> Tensor:
        return ours(tokens, state=ours.init_state(1), last=True)

    def reference() -> Tensor:
        return theirs(tokens, use_cache=True, logits_to_keep=1).logits

    first, second = prefill().float(), reference().float()  # which also warms both up
    off = float((first - second).abs().max() / second.std())
    pairs = []
    for _ in range(rounds):
        pairs.append((seconds(prefill), seconds(reference)))
    print(f"reading {tokens.shape[1]} tokens; logits differ by {off:.1e} of their spread")
    print("  blocks       ", spread((ours for ours, _ in pairs), " s"))
    print("  transformers ", spread((theirs for _, theirs in pairs), " s"))
    print("  ratio        ", spread((theirs / ours for ours, theirs in pairs), "×"))


def writing(ours: blocks.CausalLM, contexts: tuple[int, ...], steps: int) -> None:
    """Prints how long a token takes after texts of several lengths, each length in its turn."""
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
    shortest = times[contexts[0]]
    for length, found in times.items():
        ratio = statistics.median(found) / statistics.median(shortest)
        each = spread((1e3 * one for one in found), " ms")
        print(f"writing after {length} tokens: {each} a token, {ratio:.2f} of the first")


@click.command()
@click.argument("kind", type=click.Choice(list(SHAPES)))
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="bfloat16")
@click.option("--layers", default=24)
@click.option("--tokens", default=2048, help="of the text that is read")
@click.option("--rounds", default=5, help="how often both read it")
@click.option("--steps", default=50, help="tokens written after each context")
@click.option("--contexts", default="100,1000,10000", help="how many tokens came before")
@click.option("--threads", default=2)
def main(
    kind: str,
    dtype: str,
    layers: int,
    tokens: int,
    rounds: int,
    steps: int,
    contexts: str,
    threads: int,
) -> None:
    """Compares KIND with transformers."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    print(f"{kind} of {layers} layers in {dtype}, {threads} threads, torch {torch.__version__}")
    name, options = SHAPES[kind]
    shape = {**options, "num_hidden_layers": layers}
    theirs, ours = loaded(name, shape, getattr(torch, dtype))
    with torch.no_grad():
        if rounds:
            reading(theirs, ours, torch.randint(ours.vocab, (1, tokens)), rounds)
        if steps:
            writing(ours, tuple(map(int, contexts.split(","))), steps)


if __name__ == "__main__":
    main()
