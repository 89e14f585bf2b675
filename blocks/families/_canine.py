"""CANINE's layers, in three stacks, and their names."""

from __future__ import annotations

from typing import Any

from blocks import (
    CharacterEncoder,
    ChunkAttention,
    Full,
    Molecules,
    Pooler,
    SequenceHead,
    Spec,
    at,
)
from blocks.families import _encoder as common
from blocks.families._decoder import layer
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.keys import Keys

SIZES = ("max_position_embeddings", "num_hash_buckets")
_FIRST, _LAST = "initial_char_encoder.layer.0.", "final_char_encoder.layer.0."
_DEEP = "layers.1.layers.{i}."


def layers(c: Config, dim: int, norm: Spec, rate: float) -> tuple[Spec, ...]:
    """A layer that sees chunks of characters, deep ones of molecules, and one that sees all."""
    deep = common.post_norm(c, norm, dim)
    mlp, full = at(deep, "mlp"), at(deep, "attention").keywords
    local = Spec(
        ChunkAttention,
        chunk=c.take("local_transformer_stride", int, 128),
        before=0,
        mask=Full(),
        **{name: full[name] for name in ("bias", "dropout", "head_dim", "heads", "out_bias")},
    )
    molecules = Spec(
        Molecules,
        layers=(deep,) * count(c, "num_hidden_layers"),
        rate=c.take("downsampling_rate", int, 4),
        kernel=c.take("upsampling_kernel_size", int, 4),
        act=mlp.keywords["act"],
        norm=norm,
        dropout=rate,
    )
    return layer(local, mlp, norm_after=norm, dropout=rate), molecules, deep


def characters(s: Spec) -> Spec:
    """The assembly that pools molecules. All but a classifier of texts have a pooler."""
    pooled = s.keywords["head"] is not None and s.keywords["head"].func is SequenceHead
    return Spec(CharacterEncoder, **s.keywords | {"pooler": None if pooled else Spec(Pooler)})


def write(s: Spec) -> dict[str, Any]:
    """The fields that `layers` is read from."""
    molecules = at(s, "layers.1").keywords
    return {
        "downsampling_rate": molecules["rate"],
        "local_transformer_stride": at(s, "layers.0.attention").keywords["chunk"],
        "num_hidden_layers": len(molecules["layers"]),
        "upsampling_kernel_size": molecules["kernel"],
    }


_BODY = (
    *(
        (f"char_embeddings.HashBucketCodepointEmbedder_{n}.weight", f"embedding.tables.{n}")
        for n in range(16)
    ),
    ("char_embeddings.char_position_embeddings.weight", "stem.positions.weight"),
    ("char_embeddings.token_type_embeddings.weight", "stem.types.weight"),
    ("char_embeddings.LayerNorm.{w}", "stem.norm.{w}"),
    *(
        (t.replace("encoder.layer.{i}.", _FIRST), o.replace("layers.{i}.", "layers.0."))
        for t, o in common.LAYER_KEYS
    ),
    ("chars_to_molecules.conv.{w}", "layers.1.down.{w}"),
    ("chars_to_molecules.LayerNorm.{w}", "layers.1.norm_down.{w}"),
    *((t, o.replace("layers.{i}.", _DEEP)) for t, o in common.LAYER_KEYS),
    ("projection.conv.{w}", "layers.1.up.{w}"),
    ("projection.LayerNorm.{w}", "layers.1.norm_up.{w}"),
    *(
        (t.replace("encoder.layer.{i}.", _LAST), o.replace("layers.{i}.", "layers.2."))
        for t, o in common.LAYER_KEYS
    ),
)
_POOLED = dict.fromkeys(common.TASK_KEYS, "pooler.dense.{w}")
_POOLED["ForSequenceClassification"] = "head.dense.{w}"


def keys(s: Spec) -> Keys:
    """The table; a bare model's names have no prefix."""
    ignore = ("char_embeddings.position_ids", "canine.char_embeddings.position_ids")
    return common.table(s, "canine.", common.TASK_KEYS, body=_BODY, pooled=_POOLED, ignore=ignore)
