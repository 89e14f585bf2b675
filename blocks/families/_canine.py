"""CANINE's layers, in three stacks, and their names."""

from __future__ import annotations

from typing import Any

from blocks import (
    ChunkAttention,
    Full,
    Molecules,
    Spec,
    at,
)
from blocks.families import _encoder as common
from blocks.families._decoder import layer
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.keys import Keys

SIZES = ("max_position_embeddings", "num_hash_buckets")


def stacks(c: Config, dim: int, norm: Spec, rate: float) -> dict[str, Any]:
    """A layer that sees chunks of characters, deep ones of molecules, and one that sees all."""
    deep = common.post_norm(c, norm, dim)
    mlp, full = at(deep, "mlp"), at(deep, "attention").keywords
    near = Spec(
        ChunkAttention,
        chunk=c.take("local_transformer_stride", int, 128),
        before=0,
        mask=Full(),
        **{name: full[name] for name in ("bias", "dropout", "head_dim", "heads", "out_bias")},
    )
    molecules = Spec(
        Molecules,
        stride=c.take("downsampling_rate", int, 4),
        kernel=c.take("upsampling_kernel_size", int, 4),
        act=mlp.keywords["act"],
        norm=norm,
        dropout=rate,
    )
    local = layer(near, mlp, norm_after=norm, dropout=rate)
    depth = count(c, "num_hidden_layers")
    return {"local": local, "layers": (deep,) * depth, "molecules": molecules, "final": deep}


def write(s: Spec) -> dict[str, Any]:
    """The fields that `stacks` is read from beside those of other encoders."""
    molecules, hashed = at(s, "molecules").keywords, at(s, "embedding").keywords
    return {
        "downsampling_rate": molecules["stride"],
        "local_transformer_stride": at(s, "local.attention").keywords["chunk"],
        "num_hash_buckets": hashed["buckets"],
        "num_hash_functions": hashed["hashes"],
        "upsampling_kernel_size": molecules["kernel"],
    }


def _layer(theirs: str, ours: str) -> list[tuple[str, str]]:
    """The names of one layer of characters."""
    pairs = common.LAYER_KEYS
    return [
        (t.replace("encoder.layer.{i}", theirs), o.replace("layers.{i}", ours)) for t, o in pairs
    ]


_CODEPOINTS = "char_embeddings.HashBucketCodepointEmbedder_{}.weight"
_BODY = (
    *((_CODEPOINTS.format(n), f"embedding.tables.{n}") for n in range(16)),
    ("char_embeddings.char_position_embeddings.weight", "stem.positions.weight"),
    ("char_embeddings.token_type_embeddings.weight", "stem.types.weight"),
    ("char_embeddings.LayerNorm.{w}", "stem.norm.{w}"),
    *_layer("initial_char_encoder.layer.0", "local"),
    ("chars_to_molecules.conv.{w}", "molecules.shrink.{w}"),
    ("chars_to_molecules.LayerNorm.{w}", "molecules.norm_shrink.{w}"),
    *common.LAYER_KEYS,
    ("projection.conv.{w}", "molecules.merge.{w}"),
    ("projection.LayerNorm.{w}", "molecules.norm_merge.{w}"),
    *_layer("final_char_encoder.layer.0", "final"),
)
_POOLED = dict.fromkeys(common.TASK_KEYS, "pooler.dense.{w}")
_POOLED["ForSequenceClassification"] = "head.dense.{w}"


def keys(s: Spec) -> Keys:
    """The table; a bare model's names have no prefix."""
    ignore = ("char_embeddings.position_ids", "canine.char_embeddings.position_ids")
    return common.table(s, "canine.", common.TASK_KEYS, body=_BODY, pooled=_POOLED, ignore=ignore)
