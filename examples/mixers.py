"""Every mixer in the same slot: attention, state spaces, linear recurrences, LSTM.

    python examples/mixers.py --data tinyshakespeare.txt --out docs/mixers

Two layers, the same width, MLP, optimiser and number of tokens for all; only the slot `mixer`
differs. Two tasks: copying letters, which shows how much a state holds (Jelassi et al., "Repeat
after me", 2024, arXiv:2402.01032), and the next character of Shakespeare's plays. Models take their
steps in turn, so that a busy moment of the machine slows all alike.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from blocks import (
    GRU,
    LSTM,
    RGLRU,
    RWKV,
    S4,
    S4D,
    CausalConv,
    CausalLM,
    Chain,
    GatedDeltaNet,
    GatedMixer,
    GatedMLP,
    GQAttention,
    LinearAttention,
    Mamba,
    Mamba2,
    Residual,
    RMSNorm,
    RoPE,
    Slot,
    Spec,
    Window,
)

DIM, DEPTH, BATCH = 64, 2, 16
LETTERS, LENGTH = 16, 24  # of the copying task
CONTEXT = 128  # characters of the text task
TURN = 10  # steps that one model takes before the next one's turn
HEADS: dict[str, Any] = {"heads": 4}
GRIFFIN = {"conv": Spec(CausalConv, kernel=4), "lru": Spec(RGLRU, **HEADS)}

MIXERS: dict[str, Slot] = {
    "attention": Spec(GQAttention, **HEADS, qk=(Spec(RoPE),)),
    "window of 16": Spec(GQAttention, **HEADS, qk=(Spec(RoPE),), mask=Window(16)),
    "linear attention": Spec(LinearAttention, **HEADS),
    "gated delta rule": Spec(GatedDeltaNet, **HEADS, head_dim=16),
    "RWKV-4": Spec(RWKV),
    "RG-LRU": Spec(GatedMixer, steps=GRIFFIN),
    "S4": Spec(S4),
    "S4D": Spec(S4D),
    "Mamba": Spec(Mamba),
    "Mamba-2": Spec(Mamba2, heads=8, head_dim=16, state_dim=32),
    "LSTM": Spec(LSTM),
    "GRU": Spec(GRU),
}

Task = Callable[[torch.Generator], tuple[Tensor, Tensor]]


def make_model(mixer: Slot, vocab: int) -> CausalLM:
    """Two layers with `mixer` in the slot that is otherwise attention's."""
    steps = {
        "mixer": Spec(Residual, inner=mixer, norm_in=RMSNorm),
        "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=2 * DIM), norm_in=RMSNorm),
    }
    return CausalLM(vocab=vocab, dim=DIM, layers=(Spec(Chain, steps=steps),) * DEPTH, norm=RMSNorm)


def copying(chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Letters, a sign, and the same letters again, which are asked for.

    Returns tokens [B T] and targets [B T], −100 where nothing is asked.
    """
    told = torch.randint(LETTERS, (BATCH, LENGTH), generator=chance)
    sign = torch.full((BATCH, 1), LETTERS)
    tokens = torch.cat([told, sign, told[:, :-1]], 1)
    return tokens, torch.cat([torch.full_like(told, -100), told], 1)


class Text:
    """Characters of one text, the last tenth of which is held out."""

    def __init__(self, file: Path):
        text = file.read_text(encoding="utf-8")
        letters = {letter: i for i, letter in enumerate(sorted(set(text)))}
        ids = torch.tensor([letters[letter] for letter in text])
        cut = len(ids) * 9 // 10
        self.vocab, self.parts = len(letters), {"train": ids[:cut], "held out": ids[cut:]}

    def batch(self, part: str, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random pieces [B T] and the character after each of theirs."""
        ids = self.parts[part]
        starts = torch.randint(len(ids) - CONTEXT, (BATCH, 1), generator=chance)
        pieces = ids[starts + torch.arange(CONTEXT + 1)]
        return pieces[:, :-1], pieces[:, 1:]


class Runner:
    """One model in training on one task, and what is noted on the way."""

    def __init__(self, name: str, vocab: int, train: Task, held_out: Task, steps: int, rate: float):
        torch.manual_seed(0)
        self.model = make_model(MIXERS[name], vocab)
        self.name, self.train, self.held_out = name, train, held_out
        self.steps, self.rate = steps, rate
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=0.0)
        self.chance = torch.Generator().manual_seed(1)
        self.step, self.seconds, self.tokens = 0, 0.0, 0
        self.curve: list[tuple[int, float]] = []

    def turn(self) -> None:
        """Some steps of training, then the loss on what was never seen."""
        self.model.train()
        batches = [self.train(self.chance) for _ in range(TURN)]
        start = time.process_time()
        for tokens, targets in batches:
            warm, rest = min(1.0, (self.step + 1) / 50), 1 - self.step / self.steps
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate * warm * rest
            loss = F.cross_entropy(self.model(tokens).flatten(0, 1), targets.flatten())
            self.optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.step += 1
            self.tokens += tokens.numel()
        self.seconds += time.process_time() - start
        self.curve.append((self.step, self.measure()[0]))

    @torch.inference_mode()
    def measure(self, batches: int = 2) -> tuple[float, float]:
        """Loss and share of right answers on batches that are the same for all models."""
        self.model.eval()
        chance = torch.Generator().manual_seed(2)
        losses, right = [], []
        for _ in range(batches):
            tokens, targets = self.held_out(chance)
            logits = self.model(tokens)
            losses.append(float(F.cross_entropy(logits.flatten(0, 1), targets.flatten())))
            counted = targets != -100
            right.append(float((logits.argmax(-1) == targets)[counted].float().mean()))
        return sum(losses) / batches, sum(right) / batches

    def decode(self, context: int = 1024, tokens: int = 32) -> float:
        """Tokens a second that are written after so many."""
        vocab = self.model.vocab
        prompt = torch.randint(vocab, (1, context), generator=torch.Generator().manual_seed(3))
        self.model.eval()
        with torch.inference_mode():
            state = self.model.init_state(1, context + tokens)
            self.model(prompt, state=state, last=True)
            start = time.process_time()
            for at in range(tokens):
                self.model(prompt[:, at : at + 1], state=state)
            return tokens / (time.process_time() - start)

    def report(self) -> dict[str, Any]:
        loss, right = self.measure(16)
        state = self.model.init_state(1, 1024)
        return {
            "mixer": self.name,
            "parameters": self.parameters,
            "loss": loss,
            "right": right,
            "train": self.tokens / self.seconds,
            "decode": self.decode(),
            "state": state.nbytes,
            "curve": self.curve,
        }


def compare(
    names: list[str], vocab: int, train: Task, held_out: Task, steps: int, rate: float, title: str
) -> list[dict[str, Any]]:
    """All models trained in turn on one task."""
    runners = [Runner(name, vocab, train, held_out, steps, rate) for name in names]
    for _ in tqdm(range(math.ceil(steps / TURN)), desc=title):
        for runner in runners:
            runner.turn()
    return [runner.report() for runner in runners]


def table(rows: list[dict[str, Any]]) -> str:
    """The results as a table, speeds in proportion to the first row's."""
    first = rows[0]
    lines = ["| mixer | parameters | loss | right | training | decoding | state, bytes |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        speeds = [f"{row[kind] / first[kind]:.2f} ×" for kind in ("train", "decode")]
        cells = [row["mixer"], f"{row['parameters']:,}", f"{row['loss']:.3f}"]
        cells += [f"{row['right']:.1%}", *speeds, f"{row['state']:,}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(found: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """Loss curves of both tasks, and how many tokens a second each mixer trains on."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "blocks", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.6), layout="constrained")
    colours = plt.get_cmap("tab20").colors  # pyright: ignore[reportAttributeAccessIssue]  # a listed map
    for axis, (task, rows) in zip(axes, found.items(), strict=False):
        for at, row in enumerate(rows):
            steps, losses = zip(*row["curve"], strict=True)
            axis.plot(steps, losses, label=row["mixer"], color=colours[at % 20], lw=1.4)
        axis.set(title=task, xlabel="steps", ylabel="loss on what was held out")
        axis.grid(alpha=0.3)
    rows = found[next(reversed(found))]
    names = [row["mixer"] for row in rows]
    axes[2].barh(names, [row["train"] for row in rows], color=[colours[i % 20] for i in range(20)])
    axes[2].invert_yaxis()
    axes[2].set(title="training on characters", xlabel="tokens a second")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=7)
    figure.savefig(file, metadata={"Date": None})


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--steps", default=600, show_default=True, help="steps of training for each model")
@click.option("--rate", default=3e-3, show_default=True, help="the highest learning rate")
@click.option("--only", multiple=True, help="these mixers alone")
@click.option("--out", type=click.Path(path_type=Path), help="writes OUT.json and OUT.svg")
def main(data: Path, steps: int, rate: float, only: tuple[str, ...], out: Path | None) -> None:
    """Train all mixers on both tasks, print two tables, draw the curves."""
    names, text = list(only) or list(MIXERS), Text(data)
    found = {
        "copying": compare(names, LETTERS + 1, copying, copying, steps, rate, "copying"),
        "characters of Shakespeare": compare(
            names,
            text.vocab,
            lambda chance: text.batch("train", chance),
            lambda chance: text.batch("held out", chance),
            steps,
            rate,
            "characters of Shakespeare",
        ),
    }
    for task, rows in found.items():
        click.echo(f"\n{task}\n\n{table(rows)}")
    if out:
        out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        draw(found, out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
