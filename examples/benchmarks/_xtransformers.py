"""x-transformers in a process of its own: a decoder of some shape with drawn weights, and its pace.

Its decoder is not a LLaMA to the letter: pairs of neighbours are rotated, the norm divides by the
length of the row, and gate and up share one matrix that has biases. It writes with its keys and
values kept, and computes the logits of the last token alone; it trains with its own wrapper.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any

import torch
from _served import Once, serve
from _step import maker, stepping, taken
from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper


def built(shape: dict[str, Any], dtype: str) -> TransformerWrapper:
    """A decoder with grouped heads, rotations, RMSNorm and SwiGLU."""
    dim, heads = shape["hidden_size"], shape["num_attention_heads"]
    torch.manual_seed(0)
    layers = Decoder(
        dim=dim,
        depth=shape["num_hidden_layers"],
        heads=heads,
        attn_dim_head=dim // heads,
        attn_kv_heads=shape["num_key_value_heads"],
        attn_flash=True,
        rotary_pos_emb=True,
        rotary_emb_dim=dim // heads,
        use_rmsnorm=True,
        ff_mult=shape["intermediate_size"] / dim,
        ff_glu=True,
        ff_swish=True,
        ff_no_bias=True,
        verbose=False,
    )
    most = shape.get("max_position_embeddings", 4096)
    model = TransformerWrapper(num_tokens=shape["vocab_size"], max_seq_len=most, attn_layers=layers)
    return model.to(getattr(torch, dtype))


def writing(model: TransformerWrapper) -> Once:
    """Tokens a second while it reads and while it writes."""
    step = {"return_intermediates": True, "input_not_include_cache": True}

    @torch.inference_mode()
    def once(context: int, tokens: int, batch: int) -> tuple[float, float]:
        text = torch.randint(model.num_tokens, (batch, context))
        start = perf_counter()
        hidden, kept = model(text, return_embeddings_and_intermediates=True)
        new = model.to_logits(hidden[:, -1:]).argmax(-1)
        middle = perf_counter()
        for _ in range(tokens):
            logits, kept = model(new, cache=kept, **step)
            new = logits.argmax(-1)
        end = perf_counter()
        return batch * context / (middle - start), batch * tokens / (end - middle)

    return once


def training(model: TransformerWrapper, batch: int, tokens: int, keep: bool) -> Once:
    """Seconds or MiB of a step."""
    text = torch.randint(model.num_tokens, (batch, tokens))
    wrapped = AutoregressiveWrapper(model)
    return partial(taken, stepping(model, lambda: wrapped(text), keep))


if __name__ == "__main__":
    serve(maker(built, writing, training))
