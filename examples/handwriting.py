"""An LSTM learns to write by hand, and writes a text in several hands.

    python examples/handwriting.py --plot handwriting.svg

Nobody wrote what it learns from: a few letters are drawn by rule here, each time with another
slant, size and tremble, so that no collection of real handwriting is needed. They show that the
network works, not how people write. Graves, "Generating sequences with recurrent neural networks",
2013, arXiv:1308.0850, whose network of 400 cells and 20 Gaussians is made smaller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from torch import Tensor
from tqdm import trange

from blocks import Handwriting, graves_handwriting, handwrite

# Corners of each stroke of a letter: the line is at 0, small letters are 1 high.
LETTERS: dict[str, list[list[tuple[float, float]]]] = {
    "a": [
        [(0.65, 0.8), (0.3, 1), (0, 0.5), (0.3, 0), (0.65, 0.4), (0.65, 1), (0.7, 0), (0.85, 0.1)]
    ],
    "c": [[(0.7, 0.8), (0.4, 1), (0, 0.5), (0.4, 0), (0.75, 0.2)]],
    "e": [[(0.05, 0.5), (0.7, 0.6), (0.4, 1), (0, 0.5), (0.4, 0), (0.75, 0.2)]],
    "i": [[(0.1, 1), (0.1, 0.2), (0.3, 0)], [(0.1, 1.4), (0.15, 1.3)]],
    "l": [[(0.1, 1.9), (0.1, 0.2), (0.3, 0)]],
    "n": [[(0.05, 1), (0.05, 0), (0.1, 0.7), (0.4, 1), (0.6, 0.7), (0.65, 0)]],
    "o": [[(0.4, 1), (0, 0.5), (0.4, 0), (0.8, 0.5), (0.4, 1)]],
    "t": [[(0.3, 1.6), (0.3, 0.2), (0.5, 0)], [(0, 1.05), (0.6, 1.1)]],
    "u": [[(0.05, 1), (0.05, 0.3), (0.3, 0), (0.6, 0.3), (0.6, 1), (0.65, 0)]],
    "v": [[(0, 1), (0.3, 0), (0.6, 1)]],
}
ALPHABET = "".join(LETTERS)
STEP, SCALE = 0.2, 4.0  # from one point to the next, and what makes of it about 1
GAP = 0.35  # between letters


def curve(corners: Sequence[tuple[float, float]], height: float) -> Tensor:
    """Points [N 2] about STEP apart on a smooth line through the corners (Catmull and Rom)."""
    at = torch.tensor(corners)
    at = torch.cat([at[:1], at, at[-1:]])
    parts = [at[1:2]]
    for before, start, end, after in zip(at, at[1:], at[2:], at[3:], strict=False):
        count = max(1, round(float((end - start).norm()) * height / STEP))
        t = (torch.arange(1, count + 1) / count)[:, None]
        turn, bend = end - before, 2 * before - 5 * start + 4 * end - after
        rest = 3 * start - before - 3 * end + after
        parts.append(start + 0.5 * (turn * t + bend * t**2 + rest * t**3))
    return torch.cat(parts)


def write(text: str) -> Tensor:
    """A text as moves of a pen [T 3], in a hand of its own."""
    slant, height, tremble = torch.randn(()) * 0.15, 1 + 0.1 * float(torch.randn(())), 0.02
    x, points, lifts = 0.0, [], []
    for letter in text:
        strokes = [curve(stroke, height) for stroke in LETTERS[letter]]
        for stroke in strokes:
            points.append(stroke + torch.tensor([x, 0.0]))
            lifts.append(torch.zeros(len(stroke)).index_fill(0, torch.tensor([-1]), 1.0))
        x += max(float(stroke[:, 0].max()) for stroke in strokes) + GAP
    at = torch.cat(points) * height
    at = torch.stack([at[:, 0] + slant * at[:, 1], at[:, 1]], 1) + tremble * torch.randn(at.shape)
    moves = at - torch.cat([torch.zeros(1, 2), at[:-1]])
    return torch.cat([moves * SCALE, torch.cat(lifts)[:, None]], 1)


def ids(text: str) -> list[int]:
    return [ALPHABET.index(letter) for letter in text]


def draw(rows: int, longest: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random words: strokes [B T 3], text [B U], and which of both are real."""
    words = [
        "".join(ALPHABET[i] for i in torch.randint(len(ALPHABET), (int(n),)))
        for n in torch.randint(2, longest + 1, (rows,))
    ]
    strokes, texts = [write(word) for word in words], [torch.tensor(ids(word)) for word in words]
    parts = []
    for each in (strokes, texts):
        parts.append(torch.nn.utils.rnn.pad_sequence(each, batch_first=True))
        lengths = torch.tensor([len(one) for one in each])
        parts.append(torch.arange(parts[-1].shape[1]) < lengths[:, None])
    return parts[0], parts[2], parts[1], parts[3]


def make_model(hidden: int) -> Handwriting:
    model = graves_handwriting(
        vocab=len(ALPHABET), hidden=hidden, depth=2, components=6, windows=3
    )()
    # A letter takes about twelve moves: from there the windows' speed is learnt sooner.
    torch.nn.init.constant_(model.body.attention.linear.bias[-3:].detach(), math.log(1 / 12))
    return model


def learn(model: Handwriting, steps: int, rows: int = 32, rate: float = 5e-3) -> list[float]:
    """The loss of each update, in nats a move."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, rate / 20)
    losses = []
    for _ in (bar := trange(steps)):
        loss = model.loss(*draw(rows))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        falling.step()
        losses.append(loss.item())
        bar.set_postfix(loss=f"{losses[-1]:.2f}")
    return losses


def plot(lines: dict[str, Tensor], path: Path) -> None:
    """One line of handwriting below the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(lines), figsize=(7, 0.9 * len(lines)), squeeze=False)
    for axis, (name, moves) in zip(axes[:, 0], lines.items(), strict=True):
        at, start = moves[:, :2].cumsum(0), 0
        for end in [*(moves[:, 2].nonzero().flatten() + 1).tolist(), len(at)]:
            axis.plot(at[start:end, 0], at[start:end, 1], color="black", linewidth=1.2)
            start = end
        axis.set_title(name, loc="left", fontsize=7)
        axis.set_aspect("equal")
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


@click.command()
@click.option("--steps", default=800, show_default=True, help="updates of the weights")
@click.option("--hidden", default=96, show_default=True, help="cells of a layer")
@click.option("--text", default="violet", show_default=True, help=f"letters of {ALPHABET}")
@click.option("--seed", default=0, show_default=True, help="of all that is random")
@click.option("--plot", "path", type=click.Path(path_type=Path), help="picture of what it writes")
def main(steps: int, hidden: int, text: str, seed: int, path: Path | None) -> None:
    """Train a small network and let it write."""
    if not text or set(text) - set(ALPHABET):
        raise click.BadParameter(f"letters of {ALPHABET}", param_hint="--text")
    torch.manual_seed(seed)
    model = make_model(hidden)
    losses = learn(model, steps)
    click.echo(f"nats a move: {losses[0]:.2f} at first, {losses[-1]:.2f} at last")
    lines = {"drawn by rule": write(text)}
    for bias in (0.0, 0.5, 1.0, 3.0):
        (lines[f"bias {bias}"],) = handwrite(
            model, [ids(text)], most=40 * len(text), bias=bias, seed=seed
        )
    for name, moves in lines.items():
        click.echo(f"{name}: {len(moves)} moves, {int(moves[:, 2].sum())} strokes")
    if path is not None:
        plot(lines, path)


if __name__ == "__main__":
    main()
