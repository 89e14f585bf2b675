"""The parts of Reformer, read from its config.json and written back."""

from __future__ import annotations

from math import lcm
from typing import Any

from blocks import AxialPositions, ChunkAttention, LSHAttention, Spec, at
from blocks.families._layers import attentions
from blocks.hub.config import Config
from blocks.hub.keys import Keys

KINDS = {"local": ChunkAttention, "lsh": LSHAttention}
DRAFT = ("attention_probs_dropout_prob", "intermediate_size", "num_chunks_after")
DRAFT += ("num_chunks_before", "output_past")


def check_unread(c: Config) -> None:
    """Fields of the first draw, of memory, and those of a draft, which never had a reader."""
    if c.take("axial_norm_std", float, 1.0) < 0:
        raise c.error("axial_norm_std", "is a deviation, which can't be below zero")
    c.take("chunk_size_lm_head", int, 0, low=0)
    for name in DRAFT:
        c.take(name, Any, None, low=0)


def mixers(c: Config, kinds: set[str]) -> dict[str, Spec]:
    """The attention of each kind of layer."""
    sizes = {"heads": c.take("num_attention_heads", int)}
    sizes["head_dim"] = c.take("attention_head_size", int, 64)
    each = {kind: sizes | _chunks(c, kind) for kind in KINDS}
    buckets = c.take("num_buckets", int | tuple[int, ...], None)
    hashes, seed = c.take("num_hashes", int, 1), c.take("hash_seed", int, None, low=0)
    if "lsh" not in kinds:
        return {"local": Spec(ChunkAttention, **each["local"])}
    if buckets is None:
        reason = "is not said; the reference would take it from the first text it meets"
        raise c.error("num_buckets", reason, "about 2 · tokens / lsh_attn_chunk_length")
    multiple = lcm(*(each[kind]["chunk"] for kind in kinds))
    rest = {"buckets": buckets, "hashes": hashes, "seed": seed, "multiple": multiple}
    lsh = Spec(LSHAttention, **each["lsh"], **rest)
    return {"local": Spec(ChunkAttention, **each["local"]), "lsh": lsh}


def _chunks(c: Config, kind: str) -> dict[str, Any]:
    if c.take(f"{kind}_num_chunks_after", int, 0, low=0):
        raise c.error(f"{kind}_num_chunks_after", "a decoder doesn't look ahead", "say 0")
    return {
        "chunk": c.take(f"{kind}_attn_chunk_length", int, 64),
        "before": c.take(f"{kind}_num_chunks_before", int, 1, low=0),
        "dropout": c.take(f"{kind}_attention_probs_dropout_prob", float, 0.05 * (kind == "local")),
    }


def write_mixers(s: Spec) -> dict[str, Any]:
    """The fields that `mixers` is read from, and which layer has which."""
    names = {block: kind for kind, block in KINDS.items()}
    fields: dict[str, Any] = {"attn_layers": [names[part.func] for part in attentions(s)]}
    for part in dict.fromkeys(attentions(s)):
        kind, options = names[part.func], part.keywords
        fields |= {
            "attention_head_size": options["head_dim"],
            "num_attention_heads": options["heads"],
            f"{kind}_attention_probs_dropout_prob": options["dropout"],
            f"{kind}_attn_chunk_length": options["chunk"],
            f"{kind}_num_chunks_after": options["after"],
            f"{kind}_num_chunks_before": options["before"],
        }
        if kind == "lsh":
            fields |= {"hash_seed": options["seed"], "num_hashes": options["hashes"]}
            fields["num_buckets"] = options["buckets"]
    return fields


def positions(c: Config, dim: int, context: int, dropout: float) -> Spec:
    """Axial positions, or one table, which is a grid with one axis."""
    shape = c.take("axial_pos_shape", tuple[int, ...], (64, 64))
    widths = c.take("axial_pos_embds_dim", tuple[int, ...], (64, 192))
    if not c.take("axial_pos_embds", bool, True):
        shape, widths = (context,), (dim,)
    elif sum(widths) != dim or len(shape) != 2:
        reason = f"{widths} along axes of {shape} places don't make hidden_size {dim}"
        raise c.error("axial_pos_embds_dim", reason, "two axes, and widths that sum to it")
    return Spec(AxialPositions, shape=shape, widths=widths, dropout=dropout)


def write_positions(s: Spec) -> dict[str, Any]:
    """The fields that `positions` is read from."""
    options = at(s, "stem").keywords
    if len(options["shape"]) == 1:
        return {"axial_pos_embds": False}
    return {
        "axial_pos_embds": True,
        "axial_pos_embds_dim": list(options["widths"]),
        "axial_pos_shape": list(options["shape"]),
    }


_THEIRS, _TABLE = "reformer.encoder.layers.{i}.", "reformer.embeddings.position_embeddings."
_NAMED = {"qk": "query_key", "q": "query", "k": "key", "v": "value"}


def keys(s: Spec) -> Keys:
    """The table of tensor names, of a grid of positions or of one table."""
    grid = len(s.keywords["stem"].keywords["shape"]) > 1
    table = ("weights.{a}", "stem.weights.{a}") if grid else ("embedding.weight", "stem.weights.0")
    masks = [f"{kind}mask_value_float{bits}" for kind in ("", "self_") for bits in (16, 32)]
    return Keys(
        ("reformer.embeddings.word_embeddings.weight", "embedding.weight"),
        (_TABLE + table[0], table[1]),
        (_THEIRS + "attention.layer_norm.{w}", "layers.{i}.attention.norm_in.{w}"),
        *(
            (f"{_THEIRS}attention.self_attention.{name}.{{w}}", f"layers.{{i}}.attention.{p}.{{w}}")
            for p, name in _NAMED.items()
        ),
        (_THEIRS + "attention.output.dense.{w}", "layers.{i}.attention.out.{w}"),
        (_THEIRS + "feed_forward.layer_norm.{w}", "layers.{i}.mlp.norm_in.{w}"),
        (_THEIRS + "feed_forward.dense.dense.{w}", "layers.{i}.mlp.up.{w}"),
        (_THEIRS + "feed_forward.output.dense.{w}", "layers.{i}.mlp.down.{w}"),
        ("reformer.encoder.layer_norm.{w}", "norm.{w}"),
        ("lm_head.bias", "head.bias"),
        ("lm_head.decoder.{w}", "head.{w}"),
        ignore=(
            "lm_head.decoder.bias",
            *(_THEIRS + "attention.self_attention." + m for m in masks),
        ),
        optional="reformer.",
    )
