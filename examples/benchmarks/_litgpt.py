"""litgpt in a process of its own: a model of some shape with drawn weights, and its pace.

It writes with its own loop, which keeps keys and values, and computes the logits of every token
that it reads; it trains with its own loss. Nothing is compiled.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import Any

import torch
from _served import Once, serve
from _step import maker, stepping, taken
from litgpt import GPT, Config
from litgpt.generate.base import batched_generate_fn, generate_fn
from litgpt.utils import chunked_cross_entropy

GREEDY = {"temperature": 0.0}
WHOLE = {"include_prompt": False, "include_eos": False}


def built(shape: dict[str, Any], dtype: str) -> GPT:
    """A LLaMA, or a Mixtral where the shape has experts."""
    experts = shape.get("num_local_experts", 0)
    config = Config(
        n_embd=shape["hidden_size"],
        n_layer=shape["num_hidden_layers"],
        n_head=shape["num_attention_heads"],
        n_query_groups=shape["num_key_value_heads"],
        intermediate_size=shape["intermediate_size"],
        padded_vocab_size=shape["vocab_size"],
        block_size=shape.get("max_position_embeddings", 4096),
        n_expert=experts,
        n_expert_per_token=shape.get("num_experts_per_tok", 0),
        mlp_class_name="LLaMAMoE" if experts else "LLaMAMLP",
        norm_class_name="RMSNorm",
        norm_eps=1e-6,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
    )
    torch.manual_seed(0)
    return GPT(config).to(getattr(torch, dtype))


def writing(model: GPT) -> Once:
    """Tokens a second while it reads and while it writes."""

    def once(context: int, tokens: int, batch: int) -> tuple[float, float]:
        room = context + tokens
        model.max_seq_length = room
        model.set_kv_cache(batch, room, dtype=model.lm_head.weight.dtype)
        text = torch.randint(model.config.padded_vocab_size, (batch, context))
        if batch == 1:
            said: Any = generate_fn(model, text[0], room + 1, **GREEDY, **WHOLE)
        else:
            said = batched_generate_fn(model, text, room + 1, sample_args=GREEDY, **WHOLE)
        start = perf_counter()
        next(said)
        middle = perf_counter()
        written = sum(1 for _ in said)
        end = perf_counter()
        assert written == tokens
        return batch * context / (middle - start), batch * tokens / (end - middle)

    return once


def training(model: GPT, batch: int, tokens: int, keep: bool) -> Once:
    """Seconds or MiB of a step."""
    text = torch.randint(model.config.padded_vocab_size, (batch, tokens))
    loss = lambda: chunked_cross_entropy(model(text[:, :-1]), text[:, 1:])  # noqa: E731
    return partial(taken, stepping(model, loss, keep))


if __name__ == "__main__":
    serve(maker(built, writing, training))
