"""GPT: post-norm layers with learnt positions and no last norm; stored as GPT-2 is.

Radford et al., "Improving language understanding by generative pre-training", 2018.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, LayerNorm, Spec, at
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, layer
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys, Transpose

NAMES = {what: name for what, name in classic.GPT.items() if what not in ("activation", "hidden")}
_KINDS: dict[str, Any] = {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"}
_WRITTEN = {"gelu_tanh": "gelu", "relu": "relu", "silu": "silu"}


def spec(c: Config) -> Spec:
    c.take("predict_special_tokens", bool, True)  # in training
    if c.take("n_special", int, 0, low=0):
        raise c.error("n_special", "must be 0")
    dim, context = c.take("n_embd", int), c.take("n_positions", int, 512, aliases=("n_ctx",))
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    act = c.take("afn", str, "gelu")  # which is the tanh form here
    if act not in _KINDS:
        raise c.error("afn", f"{act!r} is not known", f"known: {', '.join(_KINDS)}")
    attention = classic.attention(c, dim, rate=0.1)
    mlp = Spec(MLP, hidden=4 * dim, act=_KINDS[act])
    dropout = c.take("resid_pdrop", float, 0.1)
    each = layer(attention, mlp, norm_after=norm, dropout=dropout)
    stem = classic.learned(context, dropout=c.take("embd_pdrop", float, 0.1))
    return decoder(c, (each,) * count(c, "n_layer"), None, dim, context, stem=stem)


def config(s: Spec) -> dict[str, Any]:
    return classic.write(s, NAMES) | {"afn": _WRITTEN[at(s, "layers.0.mlp").keywords["act"]]}


KEYS = Keys(
    ("transformer.tokens_embed.weight", "embedding.weight"),
    ("lm_head.weight", "head.weight"),
    ("transformer.positions_embed.weight", "stem.weight"),
    ("transformer.h.{i}.ln_1.{w}", "layers.{i}.attention.norm_after.{w}"),
    Join("transformer.h.{i}.attn.c_attn.{w}", classic.QKV, transposed=True),
    Transpose("transformer.h.{i}.attn.c_proj.{w}", ("layers.{i}.attention.out.{w}",)),
    ("transformer.h.{i}.ln_2.{w}", "layers.{i}.mlp.norm_after.{w}"),
    Transpose("transformer.h.{i}.mlp.c_fc.{w}", ("layers.{i}.mlp.up.{w}",)),
    Transpose("transformer.h.{i}.mlp.c_proj.{w}", ("layers.{i}.mlp.down.{w}",)),
    ignore=("transformer.h.{i}.attn.bias",),
    optional="transformer.",
)

FAMILY = Family("openai-gpt", ("OpenAIGPTLMHeadModel",), spec, config, KEYS)
