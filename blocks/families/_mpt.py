"""MPT's attention, whose fields are an object of their own, and fields with one value alone."""

from __future__ import annotations

from typing import Any

from blocks import ALiBi, Clip, GQAttention, QKNorm, Spec, at
from blocks.families._dialects import read_noise
from blocks.hub.config import HARMLESS, Config

# What other values would mean is in no public file, or is not read by the reference.
_OUTER = {
    "expansion_ratio": 4,
    "logit_scale": None,
    "no_bias": True,
    "norm_type": "low_precision_layernorm",
}
_INNER = {
    "alibi": True,
    "attn_type": "multihead_attention",
    "attn_uses_sequence_id": False,
    "prefix_lm": False,
    "problem_type": None,
    "qk_ln": False,
}
_TEXTS = ("init_device", "tokenizer_name")


def check_fixed(c: Config) -> None:
    """Refuses values of the outer fields that no file has."""
    for name, value in _OUTER.items():
        c.only(name, value)
    for name in ("emb_pdrop", "resid_pdrop"):
        read_noise(c, name)
    if not 0 < c.take("embedding_fraction", float, 1.0) <= 1:  # of the gradient
        raise c.error("embedding_fraction", "must be in (0, 1]")
    for name in _TEXTS:
        c.take(name, str, None)
    c.take("learned_pos_emb", bool, True)  # of no effect beside ALiBi
    c.take("verbose", int, 0, low=0)
    c.take("init_config", dict[str, Any], None)


def nested(c: Config, name: str) -> Config:
    """An object of fields, inside which transformers 5 repeats its bookkeeping."""
    inner = c.inner(name) or Config({}, c.file)
    for known in HARMLESS & set(inner.data):
        inner.take(known, Any, None, low=0)
    inner.only("is_encoder_decoder", False)
    return inner


def read_attention(c: Config, dim: int) -> Spec:
    """The attention that `attn_config` says."""
    inner = nested(c, "attn_config")
    inner.take("attn_impl", str, None)
    for name, value in _INNER.items():
        inner.only(name, value)
    heads, cap = c.take("n_heads", int), inner.take("clip_qkv", float, None)
    if dim % heads:
        raise c.error("n_heads", f"{heads} heads don't divide the width {dim}")
    clip = Spec(Clip, cap=cap) if cap else None
    return Spec(
        GQAttention,
        heads=heads,
        kv_heads=heads,
        head_dim=dim // heads,
        qk=(Spec(QKNorm, norm=clip),) if clip else (),
        values=clip,
        scores=(Spec(ALiBi, max_bias=inner.take("alibi_bias_max", float, 8.0)),),
        scale=inner.take("softmax_scale", float, None),
        dropout=inner.take("attn_pdrop", float, 0.0),
    )


def write_attention(s: Spec) -> dict[str, Any]:
    """The field that `read_attention` is read from."""
    attention = at(s, "layers.0.attention").keywords
    clip, slope = attention["values"], attention["scores"][0].keywords["max_bias"]
    fields = {
        "alibi": True,
        "alibi_bias_max": int(slope) if slope == int(slope) else slope,
        "attn_pdrop": attention["dropout"] or 0,  # the reference insists on an int
        "clip_qkv": clip.keywords["cap"] if clip else None,
        "softmax_scale": attention["scale"],
    }
    return {"attn_config": fields}
