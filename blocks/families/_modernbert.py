"""What ModernBERT and its decoder share: their layers, prediction head, fields and names."""

from __future__ import annotations

from typing import Any

from blocks import (
    Chain,
    Dropout,
    GatedMLP,
    LayerNorm,
    Mask,
    MaskedHead,
    Residual,
    SentenceHead,
    SequenceHead,
    SpanHead,
    Spec,
    SymmetricWindow,
    TokenHead,
    Window,
    at,
)
from blocks.families import _classic as classic
from blocks.families._dialects import read_activation, read_rate, write_activation
from blocks.families._layers import attentions, read_slides
from blocks.families._rope import unstretched
from blocks.families._ropes import read_ropes, write_ropes
from blocks.hub.config import Config

NAMES = {
    "activation": "hidden_activation",
    "attention_dropout": "attention_dropout",
    "context": "max_position_embeddings",
    "depth": "num_hidden_layers",
    "dim": "hidden_size",
    "eps": "norm_eps",
    "heads": "num_attention_heads",
    "hidden": "intermediate_size",
}
_ROPES: dict[str, Any] = {"local": "local_rope_theta", "whole": "global_rope_theta", "shared": True}


def read_norm(c: Config) -> Spec:
    """The one norm of all places."""
    c.take("layer_norm_eps", float, 1e-5)  # files have it, and norm_eps is meant
    bias = c.take("norm_bias", bool, False)
    return Spec(LayerNorm, eps=c.take("norm_eps", float, 1e-5), bias=bias)


def stem(c: Config, norm: Spec) -> Spec:
    """What follows the embedding."""
    drop = Spec(Dropout, dropout=read_rate(c, "embedding_dropout", 0.0))
    return Spec(Chain, steps={"norm": norm, "drop": drop})


def half(c: Config) -> int:
    """How far a token sees on one side, itself left out in an encoder."""
    return c.take("local_attention", int, 128, low=2) // 2


def layers(
    c: Config, dim: int, context: int, norm: Spec, full: Mask, window: Mask
) -> tuple[Spec, ...]:
    """Pre-norm layers, the first of which finds normed what its attention reads.

    Args:
        c: the reader.
        dim: the model's width.
        context: `max_position_embeddings`.
        norm: before each branch.
        full: the mask of layers that see everything.
        window: the mask of the others.
    """
    period = c.take("global_attn_every_n_layers", int, 3)
    slides = read_slides(c, lambda i: i % period != 0)
    ropes = read_ropes(c, context, 160_000.0, **_ROPES)
    bias = c.take("attention_bias", bool, False)
    mlp = Spec(
        GatedMLP,
        hidden=c.take("intermediate_size", int, 1152),
        act=read_activation(c, "hidden_activation", "gelu"),
        bias=c.take("mlp_bias", bool, False),
        dropout=read_rate(c, "mlp_dropout", 0.0),
    )
    found = []
    for i, slide in enumerate(slides):
        parts = {"qk": (ropes[slide],), "mask": window if slide else full, "bias": bias}
        attention = classic.attention(c, dim, names=NAMES, **parts)
        around = {"norm_in": norm if i else None, "dropout": attention.keywords["dropout"]}
        branches = {
            "attention": Spec(Residual, inner=attention, **around),
            "mlp": Spec(Residual, inner=mlp, norm_in=norm),
        }
        found.append(Spec(Chain, steps=branches))
    return tuple(found)


_POOLS = {"cls": "first", "mean": "mean"}


def masked(c: Config, norm: Spec) -> Spec:
    """The head that tells tokens."""
    return Spec(MaskedHead, bias=c.take("decoder_bias", bool, True), **_dense(c, norm))


def heads(c: Config, norm: Spec) -> dict[str, Spec]:
    """The heads of all tasks."""
    pool = c.take("classifier_pooling", str, "cls")
    if pool not in _POOLS:
        raise c.error("classifier_pooling", f"{pool!r} is not known", "known: cls, mean")
    parts: dict[str, Any] = _dense(c, norm) | {"dropout": read_rate(c, "classifier_dropout", 0.0)}
    return {
        "masked": masked(c, norm),
        "sequence": Spec(SequenceHead, labels=2, pool=_POOLS[pool], **parts),
        "tokens": Spec(TokenHead, labels=2, **parts),
        "spans": Spec(SpanHead, **parts),
    }


def _dense(c: Config, norm: Spec) -> dict[str, Any]:
    """What every head does before its last projection."""
    act = read_activation(c, "classifier_activation", "gelu")
    return {"act": act, "norm": norm, "dense_bias": c.take("classifier_bias", bool, False)}


def write(s: Spec) -> dict[str, Any]:
    """The fields that all of these are read from."""
    found, mlp = attentions(s), at(s, "layers.0.mlp").keywords
    sizes = [_half(attention.keywords["mask"]) for attention in found]
    kinds = ["full_attention" if size is None else "sliding_attention" for size in sizes]
    own = {
        "attention_bias": found[0].keywords["bias"],
        "embedding_dropout": at(s, "stem.drop").keywords["dropout"],
        "layer_types": kinds,
        "local_attention": 2 * next(filter(None, sizes), 64),
        "max_position_embeddings": unstretched(s.keywords["layers"], s.keywords["context"]),
        "mlp_bias": mlp["bias"],
        "mlp_dropout": mlp["dropout"],
        "norm_bias": at(s, "norm").keywords["bias"],
    }
    return classic.write(s, NAMES) | write_ropes(s, **_ROPES) | own | _write_head(s)


def _half(mask: Mask) -> int | None:
    if isinstance(mask, SymmetricWindow):
        return mask.radius
    return mask.size if isinstance(mask, Window) else None


def _write_head(s: Spec) -> dict[str, Any]:
    head = s.keywords["head"]
    if head is None or head.func is SentenceHead:
        return {}
    named = {"bias": "decoder_bias", "dense_bias": "classifier_bias"}
    named |= {"dropout": "classifier_dropout"}
    said = {theirs: head.keywords[ours] for ours, theirs in named.items() if ours in head.keywords}
    said["classifier_activation"] = write_activation(head.keywords["act"])
    pools = [theirs for theirs, ours in _POOLS.items() if ours == head.keywords.get("pool")]
    return said | ({"classifier_pooling": pools[0]} if pools else {})


GATED = ("layers.{i}.mlp.gate.{w}", "layers.{i}.mlp.up.{w}")
BODY_KEYS = (
    ("embeddings.tok_embeddings.weight", "embedding.weight"),
    ("embeddings.norm.{w}", "stem.norm.{w}"),
    ("layers.{i}.attn_norm.{w}", "layers.{i}.attention.norm_in.{w}"),
    ("layers.{i}.attn.Wo.{w}", "layers.{i}.attention.out.{w}"),
    ("layers.{i}.mlp_norm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    ("layers.{i}.mlp.Wo.{w}", "layers.{i}.mlp.down.{w}"),
    ("final_norm.{w}", "norm.{w}"),
)
