"""LLaMA with other parts: the families that have its fields and its names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks import MLP, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.keys import Keys

KEYS = Keys(*common.DECODER_KEYS, *common.GATED_MLP_KEYS, ignore=common.ROTARY_TABLES)


def read_llama(
    c: Config,
    norm: Spec,
    mlp: Spec | None = None,
    *,
    context: int,
    bias: bool = False,
    rope: Mapping[str, Any] | None = None,
    around: Mapping[str, Any] | None = None,
    **options: Any,
) -> Spec:
    """LLaMA with other parts.

    Args:
        c: the reader.
        norm: every norm.
        mlp: the MLP or the experts; None is the gated one, with biases as `mlp_bias` says.
        context: what a config means that doesn't say how many tokens it is for.
        bias: the same of biases in attention.
        rope: options of `read_rope`.
        around: what is around each branch beside the norm: a scale, a dropout.
        **options: of `attention`.
    """
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, context)
    turned, bias = read_rope(c, context, **(rope or {})), c.take("attention_bias", bool, bias)
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False)) if mlp is None else mlp
    inner = common.attention(c, dim, turned, bias=bias, **options)
    layer = common.pre_norm(norm, inner, mlp, **(around or {}))
    return common.decoder(c, layer, norm, dim, context)


def plain_mlp(c: Config, act: str, bias: bool = False) -> Spec:
    """The MLP without a gate; the arguments are what a config means that doesn't say them."""
    chosen, size = read_activation(c, default=act), c.take("intermediate_size", int)
    return Spec(MLP, hidden=size, act=chosen, bias=c.take("mlp_bias", bool, bias))


def write_llama(s: Spec, **options: Any) -> dict[str, Any]:
    """The fields that `read_llama` is read from; the options are those of `write_decoder`."""
    mlp = at(s, "layers.0.mlp")
    biases = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "mlp_bias": mlp.keywords["bias"],
    }
    return common.write_decoder(s, **options) | common.write_mlp(mlp) | biases
