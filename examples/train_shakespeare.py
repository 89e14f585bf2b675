"""A language model from nothing: tokenizer, model, training, and files that every tool reads.

    python examples/train_shakespeare.py --data tinyshakespeare.txt --out my-shakespeare

The last tenth of the text is held out: neither tokenizer nor model sees it before the end. Of the
rest, the first twentieth says which weights to keep, and all else is for learning.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from tokenizers import Regex, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from tqdm import trange

import blocks
from blocks import CausalLM, Chain, GatedMLP, GQAttention, Residual, RMSNorm, RoPE, Spec

VOCAB, CONTEXT = 1024, 256
START = "<|endoftext|>"
# A blank line, a word with the space before it, punctuation, a break: no token spans two of them.
PIECES = r"\n\n| ?'?[A-Za-z]+|[^\sA-Za-z]+|\s"


def make_tokenizer(text: str) -> Backend:
    """Byte-pair encoding: bytes, and the pair that is most frequent merged again and again."""
    backend = Backend(models.BPE())
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces = pre_tokenizers.Split(Regex(PIECES), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pieces, by_bytes])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[START],
        initial_alphabet=by_bytes.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([text], trainer)
    start = backend.token_to_id(START)
    backend.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, start)]
    )
    return backend


def make_model(dropout: float = 0.0) -> CausalLM:
    """A LLaMA of 1.8 million parameters."""
    norm = Spec(RMSNorm, eps=1e-5)
    attention = Spec(GQAttention, heads=6, kv_heads=2, qk=(Spec(RoPE, theta=10_000.0),))
    mlp = Spec(GatedMLP, hidden=512, act="silu")
    steps = {
        "attention": Spec(Residual, inner=attention, norm_in=norm, dropout=dropout),
        "mlp": Spec(Residual, inner=mlp, norm_in=norm, dropout=dropout),
    }
    model = CausalLM(
        vocab=VOCAB,
        dim=192,
        layers=(Spec(Chain, steps=steps),) * 4,
        norm=norm,
        embedding=Spec(blocks.TokenEmbedding, dropout=dropout),
        ties=(("head.weight", "embedding.weight"),),
        context=CONTEXT,
    )
    for layer in model.layers:  # each starts as the identity
        nn.init.zeros_(layer.attention.inner.out.weight)
        nn.init.zeros_(layer.mlp.inner.down.weight)
    return model


def find_parts(backend: Backend) -> Tensor:
    """The two tokens that each token was merged from; -1 where it is a byte: [V 2]."""
    parts = torch.full((VOCAB, 2), -1)
    for pair in json.loads(backend.to_str())["model"]["merges"]:
        merged = backend.token_to_id("".join(pair))
        parts[merged] = torch.tensor([backend.token_to_id(part) for part in pair])
    return parts


def split(tokens: Tensor, parts: Tensor, rate: float) -> Tensor:
    """The same text with some tokens in two, so that a model which reads it many times learns how
    words are spelt and not the words by heart (in the spirit of BPE-dropout, arXiv:1910.13267)."""
    pairs = parts[tokens]  # T 2
    whole = (torch.rand(len(tokens)) >= rate) | (pairs[:, 0] < 0)
    pairs[whole, 0], pairs[whole, 1] = tokens[whole], -1
    return pairs[pairs >= 0]


def draw(tokens: Tensor, batch: int, start: int, blank: int) -> Tensor:
    """Windows from anywhere in the text: [B T+1]."""
    offsets = torch.randint(len(tokens) - CONTEXT, (batch, 1))
    windows = tokens[offsets + torch.arange(CONTEXT + 1)]
    # A window that opens with the blank line before a speech shows how a text starts.
    windows[:, 0] = windows[:, 0].masked_fill(windows[:, 0] == blank, start)
    return windows


@torch.inference_mode()
def measure(model: CausalLM, tokens: Tensor, stride: int) -> float:
    """Nats of all tokens but the first, each seen after at least CONTEXT - stride others."""
    model.eval()
    total, done = 0.0, 0
    while done < len(tokens) - 1:
        end = min(max(done + stride, CONTEXT), len(tokens) - 1)
        window = tokens[max(end - CONTEXT, 0) : end + 1]
        losses = F.cross_entropy(model(window[None, :-1])[0], window[1:], reduction="none")
        total += float(losses[done - end :].double().sum())
        done = end
    model.train()
    return total


def make_optimizers(model: CausalLM, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the table of tokens and the norms."""
    matrices = [p for p in model.layers.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim == 1] + [model.embedding.weight]
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.3, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=lr, weight_decay=0.0, betas=(0.9, 0.99)),
    ]


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="a text")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="folder of the model")
@click.option("--steps", default=1500, show_default=True, help="updates of the weights")
@click.option("--threads", default=1, show_default=True, help="of the processor")
@click.option("--seed", default=0, show_default=True, help="of all that is random")
@click.option("--bf16", is_flag=True, help="multiply in bfloat16: faster where the CPU knows it")
def main(data: Path, out: Path, steps: int, threads: int, seed: int, bf16: bool) -> None:
    """Train a small LLaMA on a text and save it as a checkpoint."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    text = data.read_text(encoding="utf-8")
    end = int(len(text) * 0.9)
    first = end // 20
    texts = text[first:end], text[:first], text[end:]

    backend = make_tokenizer(texts[0])
    tokenizer = blocks.Tokenizer.from_backend(backend, bos=START, eos=START)
    train, valid, held_out = (torch.tensor(tokenizer.encode(part)) for part in texts)
    start, blank = tokenizer.encode("\n\n")
    parts = find_parts(backend)

    model = make_model(dropout=0.15)
    optimizers = make_optimizers(model, lr=3e-3)
    schedules = [
        # Warm-up, then constant, then down to zero over the last third.
        LambdaLR(optimizer, lambda step: min((step + 1) / 50, 1.0, 3 * (1 - step / steps)))
        for optimizer in optimizers
    ]

    best, weights = math.inf, {}
    bar = trange(1, steps + 1)
    for step in bar:
        tokens = split(train, parts, rate=0.1) if step < 2 / 3 * steps else train
        windows = draw(tokens, 16, start, blank)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(windows[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in (*optimizers, *schedules):
            part.step()
        model.zero_grad()
        if step % 100 == 0 or step == steps:
            nats = measure(model, valid, stride=CONTEXT // 2) / len(texts[1])
            bar.write(f"step {step}: {nats:.4f} nats per character of the validation text")
            if nats < best:
                best, weights = nats, {k: v.clone() for k, v in model.state_dict().items()}

    model = make_model()
    model.load_state_dict(weights)
    model.bfloat16()
    model.generation = blocks.GenerationDefaults(eos=(start,), bos=start)
    blocks.export(model, out)
    tokenizer.save_pretrained(out)
    nats = measure(model.float(), held_out, stride=32) / len(texts[2])
    click.echo(f"held out: {nats:.4f} nats per character")


if __name__ == "__main__":
    main()
