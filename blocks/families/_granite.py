"""What Granite's families share: four numbers that embeddings, scores, branches and logits are
multiplied with (Yang et al., "Tensor programs V", 2022, arXiv:2203.03466).
"""

from __future__ import annotations

import math
from typing import Any

from blocks import LMHead, RMSNorm, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config


def read_granite(c: Config, mlp: Spec) -> Spec:
    """LLaMA with the four numbers around an MLP or experts."""
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    bias = c.take("attention_bias", bool, False)
    scale = read_factor(c, "attention_multiplier")
    attention = common.attention(c, dim, read_rope(c, context), bias=bias, scale=scale)
    layer = common.pre_norm(norm, attention, mlp, scale=read_factor(c, "residual_multiplier"))
    embedding = Spec(TokenEmbedding, scale=read_factor(c, "embedding_multiplier"))
    head = Spec(LMHead, scale=1 / read_factor(c, "logits_scaling"))
    return common.decoder(c, layer, norm, dim, context, embedding=embedding, head=head)


def read_factor(c: Config, name: str) -> float:
    """One of the numbers; 1 where a config doesn't say it."""
    factor = c.take(name, float, 1.0)
    if factor <= 0:
        raise c.error(name, f"must be above zero, not {factor}")
    return factor


def write_granite(s: Spec) -> dict[str, Any]:
    """The fields that `read_granite` is read from."""
    attention = at(s, "layers.0.attention").keywords
    layer = s.keywords["layers"][0].keywords["steps"]["mlp"]
    own = {
        "attention_bias": attention["bias"],
        "attention_multiplier": attention["scale"],
        "embedding_multiplier": at(s, "embedding").keywords["scale"],
        "logits_scaling": _divisor(at(s, "head").keywords["scale"]),
        "residual_multiplier": layer.keywords["scale"],
    }
    return common.write_decoder(s) | own


def _divisor(scale: float) -> float:
    """The number that 1 is divided by to give just `scale`, a round one if there is one."""
    near = 1 / scale
    tried = (round(near, 9), near, math.nextafter(near, math.inf), math.nextafter(near, 0))
    return next((number for number in tried if number and 1 / number == scale), near)
