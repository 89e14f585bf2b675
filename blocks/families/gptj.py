"""GPT-J: attention and MLP side by side under one norm, RoPE on neighbouring channels.

Wang & Komatsuzaki, "GPT-J-6B", 2021.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, LMHead, Spec, TokenEmbedding
from blocks.families import _classic as classic
from blocks.families._decoder import decoder
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    for name in ("rotary", "scale_attn_weights"):  # as the first file has them
        c.only(name, True)
    dim, context = c.take("n_embd", int), c.take("n_positions", int, 2048)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    attention = classic.turned(c, classic.attention(c, dim, bias=False))
    dropout = c.take("resid_pdrop", float, 0.0)
    layer = classic.parallel(norm, attention, classic.mlp(c, 4 * dim), dropout=dropout)
    embedding = Spec(TokenEmbedding, dropout=c.take("embd_pdrop", float, 0.0))
    layers, head = (layer,) * count(c, "n_layer"), Spec(LMHead, bias=True)
    return decoder(c, layers, norm, dim, context, embedding=embedding, head=head)


def config(s: Spec) -> dict[str, Any]:
    return classic.write(s, classic.GPT) | classic.write_turned(s)


_ATTENTION = "transformer.h.{i}.attn."

REST = (
    ("transformer.wte.weight", "embedding.weight"),
    ("lm_head.{w}", "head.{w}"),
    ("transformer.h.{i}.ln_1.{w}", "layers.{i}.norm_in.{w}"),
    (_ATTENTION + "out_proj.{w}", "layers.{i}.attention.out.{w}"),
    ("transformer.h.{i}.mlp.fc_in.{w}", "layers.{i}.mlp.up.{w}"),
    ("transformer.h.{i}.mlp.fc_out.{w}", "layers.{i}.mlp.down.{w}"),
    ("transformer.ln_f.{w}", "norm.{w}"),
)
KEYS = Keys(
    *classic.apart_qkv(_ATTENTION),
    *REST,
    ignore=(_ATTENTION + "bias", _ATTENTION + "masked_bias"),
    optional="transformer.",
)

FAMILY = Family("gptj", ("GPTJForCausalLM",), spec, config, KEYS)
