"""The parts of Reformer, read from its config.json and written back."""

from __future__ import annotations

from math import lcm
from typing import Any

from blocks import (
    AxialPositions,
    Causal,
    ChunkAttention,
    CircleAttention,
    Full,
    LSHAttention,
    Spec,
    at,
)
from blocks.families._layers import attentions
from blocks.hub.config import Config

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


def mixers(c: Config, kinds: set[str], *, ahead: bool) -> dict[str, Spec]:
    """The attention of each kind of layer; `ahead` lets tokens see later ones."""
    sizes = {"heads": c.take("num_attention_heads", int)}
    sizes["head_dim"] = c.take("attention_head_size", int, 64)
    each = {kind: sizes | _chunks(c, kind, ahead) for kind in KINDS}
    multiple = lcm(*(each[kind]["chunk"] for kind in kinds))
    if ahead:
        local = Spec(CircleAttention, **each["local"], multiple=multiple, mask=Full())
    else:
        local = Spec(ChunkAttention, **each["local"], mask=Causal())
    buckets = c.take("num_buckets", int | tuple[int, ...], None)
    hashes, seed = c.take("num_hashes", int, 1), c.take("hash_seed", int, None, low=0)
    if "lsh" not in kinds:
        return {"local": local}
    if buckets is None:
        reason = "is not said; the reference would take it from the first text it meets"
        raise c.error("num_buckets", reason, "about 2 · tokens / lsh_attn_chunk_length")
    rest = {"buckets": buckets, "hashes": hashes, "seed": seed, "multiple": multiple}
    mask = Full() if ahead else Causal()
    return {"local": local, "lsh": Spec(LSHAttention, **each["lsh"], **rest, mask=mask)}


def _chunks(c: Config, kind: str, ahead: bool) -> dict[str, Any]:
    after = c.take(f"{kind}_num_chunks_after", int, 0, low=0)
    if after and not ahead:
        raise c.error(f"{kind}_num_chunks_after", "a decoder doesn't look ahead", "say 0")
    return {
        "chunk": c.take(f"{kind}_attn_chunk_length", int, 64),
        "after": after,
        "before": c.take(f"{kind}_num_chunks_before", int, 1, low=0),
        "dropout": c.take(f"{kind}_attention_probs_dropout_prob", float, 0.05 * (kind == "local")),
    }


def write_mixers(s: Spec) -> dict[str, Any]:
    """The fields that `mixers` is read from, and which layer has which."""
    names = {block: kind for kind, block in KINDS.items()} | {CircleAttention: "local"}
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
