"""GPT-2: pre-norm layers with learnt positions.

Radford et al., "Language models are unsupervised multitask learners", 2019.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, Spec, at, replace
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys, Transpose


def spec(c: Config) -> Spec:
    c.take("reorder_and_upcast_attn", bool, False)  # where 16-bit values are rounded
    dim, context = c.take("n_embd", int), c.take("n_positions", int, 1024, aliases=("n_ctx",))
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    attention = classic.attention(c, dim, rate=0.1)
    mlp, dropout = classic.mlp(c, 4 * dim), c.take("resid_pdrop", float, 0.1)
    scales = [None if c.take("scale_attn_weights", bool, True) else 1.0] * count(c, "n_layer")
    if c.take("scale_attn_by_inverse_layer_idx", bool, False):
        first = scales[0] or attention.keywords["head_dim"] ** -0.5
        scales = [first / (i + 1) for i in range(len(scales))]
    each = {n: replace(attention, scale=n) for n in dict.fromkeys(scales)}
    layer = {n: pre_norm(norm, part, mlp, dropout=dropout) for n, part in each.items()}
    stem = classic.learned(context, dropout=c.take("embd_pdrop", float, 0.1))
    return decoder(c, tuple(layer[n] for n in scales), norm, dim, context, stem=stem)


def config(s: Spec) -> dict[str, Any]:
    end = len(s.keywords["layers"]) - 1
    first, last = (at(s, f"layers.{i}.attention").keywords["scale"] for i in (0, end))
    scales = {
        "scale_attn_by_inverse_layer_idx": first != last or first not in (None, 1.0),
        "scale_attn_weights": first != 1.0,
    }
    return classic.write(s, classic.GPT) | scales


KEYS = Keys(
    ("transformer.wte.weight", "embedding.weight"),
    ("lm_head.weight", "head.weight"),
    ("transformer.wpe.weight", "stem.weight"),
    ("transformer.h.{i}.ln_1.{w}", "layers.{i}.attention.norm_in.{w}"),
    Join("transformer.h.{i}.attn.c_attn.{w}", classic.QKV, transposed=True),
    Transpose("transformer.h.{i}.attn.c_proj.{w}", ("layers.{i}.attention.out.{w}",)),
    ("transformer.h.{i}.ln_2.{w}", "layers.{i}.mlp.norm_in.{w}"),
    Transpose("transformer.h.{i}.mlp.c_fc.{w}", ("layers.{i}.mlp.up.{w}",)),
    Transpose("transformer.h.{i}.mlp.c_proj.{w}", ("layers.{i}.mlp.down.{w}",)),
    ("transformer.ln_f.{w}", "norm.{w}"),
    ignore=("transformer.h.{i}.attn.bias", "transformer.h.{i}.attn.masked_bias"),
    optional="transformer.",
)

FAMILY = Family("gpt2", ("GPT2LMHeadModel",), spec, config, KEYS)
