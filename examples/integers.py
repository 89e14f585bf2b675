"""Which integers are one token of GPT-2, and how the others are split.

    pip install --no-deps openai-whisper    # whose assets hold GPT-2's vocabulary
    python examples/integers.py --plot integers.png

After Beren Millidge, "Integer tokenization is insane", 2023. Numbers stand alone, without a space.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import click

from blocks import Tokenizer, byte_tokenizer

BELOW = 10_000


def find_ranks() -> Path | None:
    """GPT-2's vocabulary among the files of openai-whisper, which is not imported."""
    found = find_spec("whisper")
    folders = found.submodule_search_locations if found else None
    return next(
        (p for f in folders or () if (p := Path(f, "assets/gpt2.tiktoken")).is_file()), None
    )


def read_ranks(path: Path) -> dict[bytes, int]:
    """The id of each token by its bytes; in this vocabulary ids are in the order of the merges."""
    lines = (line.split() for line in path.read_bytes().splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def last_pair(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The two parts that a token was merged from, found by all the merges before its own."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        i = pairs.index(min(pairs))
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts[0], parts[1]


def make_tokenizer(ranks: dict[bytes, int]) -> Tokenizer:
    """GPT-2's tokenizer from its two files, which the ranks are enough to write."""
    letters = byte_tokenizer(pad=None, eos=None, unk=None)  # of GPT-2's alphabet of bytes

    def spelt(token: bytes) -> str:
        return "".join(letters.token(byte) or "" for byte in token)

    ordered = sorted((token for token in ranks if len(token) > 1), key=lambda token: ranks[token])
    merges = [" ".join(map(spelt, last_pair(token, ranks))) for token in ordered]
    vocab = {spelt(token): rank for token, rank in ranks.items()} | {"<|endoftext|>": len(ranks)}
    files = {"vocab.json": json.dumps(vocab).encode(), "merges.txt": "\n".join(merges).encode()}
    return Tokenizer(files, name="gpt2")


def lengths(tokenizer: Tokenizer, number: int) -> tuple[int, ...]:
    """How many digits each token of a number has: 1234 as 12 and 34 is (2, 2)."""
    return tuple(len(tokenizer.decode([id])) for id in tokenizer.encode(str(number)))


def draw(splits: list[tuple[int, ...]], path: Path) -> None:
    """A square of a hundred rows of a hundred numbers, coloured by the count of tokens."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7))
    axes = figure.subplots()
    rows = [[len(split) for split in splits[i : i + 100]] for i in range(0, len(splits), 100)]
    image = axes.imshow(rows, cmap="viridis")
    axes.set(xlabel="last two digits", ylabel="hundreds", title="GPT-2's tokens per integer")
    figure.colorbar(image, ticks=sorted({len(split) for split in splits}))
    figure.savefig(path)


@click.command()
@click.option("--ranks", type=click.Path(exists=True, path_type=Path), help="gpt2.tiktoken")
@click.option("--plot", type=click.Path(path_type=Path), help="where to write a picture")
def main(ranks: Path | None, plot: Path | None) -> None:
    """Count the integers below 10,000 that GPT-2 has a token for."""
    path = ranks or find_ranks()
    if path is None:
        raise click.ClickException("give --ranks, or: pip install --no-deps openai-whisper")
    tokenizer = make_tokenizer(read_ranks(path))
    splits = [lengths(tokenizer, number) for number in range(BELOW)]
    single = [number for number, split in enumerate(splits) if len(split) == 1]
    first = next(number for number, split in enumerate(splits) if len(split) > 1)
    click.echo(f"0 to {first - 1} are one token each; {first} is the first that is not")
    click.echo(f"{len(single)} of 0 to {BELOW - 1} are one token")
    click.echo("four digits are split into tokens of")
    for split, count in Counter(splits[1000:]).most_common():
        click.echo(f"{' + '.join(map(str, split)):>10}: {count}")
    if plot is not None:
        draw(splits, plot)
        click.echo(f"wrote {plot}")


if __name__ == "__main__":
    main()
