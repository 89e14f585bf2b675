"""Infini-attention finds a word that left its window long ago, and not with its memory closed.

    python examples/passkey.py

A text is random words with one key among them. At its end the model is asked for the key, which
stands at least four windows back. Munkhdalai et al., 2024, arXiv:2404.07143, section 4.2, in small.
"""

from __future__ import annotations

import click
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import trange

from blocks import CausalLM, Chain, GatedMLP, InfiniAttention, Residual, RMSNorm, RoPE, Spec

WORDS, KEYS, SEGMENT, PLACES = 32, 100, 16, 100
ASK = WORDS + KEYS
LENGTH = PLACES + 12 + 4 * SEGMENT  # whole segments; the last place is four before the question


def make_model() -> CausalLM:
    """Two layers whose windows are 16 tokens long."""
    attention = Spec(
        InfiniAttention, heads=4, segment=SEGMENT, update="linear", qk=(Spec(RoPE, theta=1e4),)
    )
    steps = {
        "attention": Spec(Residual, inner=attention, norm_in=RMSNorm),
        "mlp": Spec(Residual, inner=Spec(GatedMLP, hidden=128), norm_in=RMSNorm),
    }
    return CausalLM(vocab=ASK + 1, dim=64, layers=(Spec(Chain, steps=steps),) * 2, norm=RMSNorm)


def draw(places: Tensor) -> tuple[Tensor, Tensor]:
    """Texts [B T] with a key at each of the places [B], and the keys [B]."""
    texts = torch.randint(WORDS, (len(places), LENGTH))
    keys = torch.randint(WORDS, WORDS + KEYS, places.shape)
    texts[torch.arange(len(places)), places] = keys
    texts[:, -1] = ASK
    return texts, keys


@torch.inference_mode()
def share_found(model: CausalLM, repeats: int = 10) -> float:
    """How often the answer is the key, over every place."""
    texts, keys = draw(torch.arange(PLACES).repeat(repeats))
    return float((model(texts, last=True)[:, 0].argmax(-1) == keys).float().mean())


def close_memory(model: CausalLM) -> None:
    """Leave every head nothing but its window."""
    for part in model.modules():
        if isinstance(part, InfiniAttention):
            torch.nn.init.constant_(part.gate, -torch.inf)


@click.command()
@click.option("--steps", default=600, show_default=True, help="updates of the weights")
@click.option("--seed", default=0, show_default=True, help="of all that is random")
def main(steps: int, seed: int) -> None:
    """Train a small model and count the keys it finds."""
    torch.manual_seed(seed)
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    bar = trange(1, steps + 1)
    for step in bar:
        texts, keys = draw(torch.randint(PLACES, (64,)))
        loss = F.cross_entropy(model(texts, last=True)[:, 0], keys)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            bar.write(f"step {step}: loss {loss.item():.3f}, found {share_found(model, 2):.1%}")
    click.echo(f"found with memory: {share_found(model):.1%}")
    close_memory(model)
    click.echo(f"found with the memory closed: {share_found(model):.1%}")


if __name__ == "__main__":
    main()
