"""GPT-Neo: GPT-2 with unscaled scores, whose layers see all and a window in turn.

Black et al., "GPT-Neo", 2021.
"""

from __future__ import annotations

from typing import Any

from blocks import Causal, LayerNorm, Spec, Window, replace
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import count
from blocks.families._layers import attentions
from blocks.hub.config import Config
from blocks.hub.family import Family

NAMES = classic.LLAMA | {"activation": "activation_function", "eps": "layer_norm_epsilon"}
NAMES |= {"depth": "num_layers", "heads": "num_heads", "dropout": "resid_dropout"}
NAMES |= {"embedding_dropout": "embed_dropout"}


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    attention = classic.attention(c, dim, names=NAMES, bias=False, out_bias=True, scale=1.0)
    mlp, dropout = classic.mlp(c, 4 * dim, names=NAMES), c.take("resid_dropout", float, 0.0)
    masks = {"global": Causal(), "local": Window(c.take("window_size", int, 256))}
    each = {
        kind: pre_norm(norm, replace(attention, mask=mask), mlp, dropout=dropout)
        for kind, mask in masks.items()
    }
    depth, usual = count(c, "num_layers"), ((("global", "local"), 12),)
    types = c.take("attention_types", tuple[tuple[tuple[str, ...], int], ...], usual)
    kinds = tuple(kind for period, times in types for kind in period * min(times, depth))
    if len(kinds) != depth or c.take("attention_layers", tuple[str, ...], kinds) != kinds:
        raise c.error("num_layers", f"{depth} layers, but attention_types lists {len(kinds)}")
    if not each.keys() >= set(kinds):
        raise c.error("attention_types", "knows global and local layers alone")
    stem = classic.learned(context, dropout=c.take("embed_dropout", float, 0.0))
    return decoder(c, tuple(each[kind] for kind in kinds), norm, dim, context, stem=stem)


def config(s: Spec) -> dict[str, Any]:
    masks = [attention.keywords["mask"] for attention in attentions(s)]
    sizes = [mask.size for mask in masks if isinstance(mask, Window)]
    kinds = ["local" if isinstance(mask, Window) else "global" for mask in masks]
    own = {"attention_layers": kinds, "attention_types": [[kinds, 1]]}
    return classic.write(s, NAMES) | own | {"window_size": sizes[0] if sizes else 256}


_ATTENTION = "transformer.h.{i}.attn.attention."
KEYS = classic.gpt2_keys(_ATTENTION, *classic.apart_qkv(_ATTENTION), out="out_proj")

FAMILY = Family("gpt_neo", ("GPTNeoForCausalLM",), spec, config, KEYS, shortest={"num_layers": 24})
