"""What Granite's families share: four numbers that embeddings, scores, branches and logits are
multiplied with (Yang et al., "Tensor programs V", 2022, arXiv:2203.03466).
"""

from __future__ import annotations

from typing import Any

from blocks import LMHead, RMSNorm, Spec, TokenEmbedding, at, replace, rewrite
from blocks.families import _decoder as common
from blocks.families._dialects import read_or_null, roundest
from blocks.families._layers import attentions, check_depth, masks, read_slides, write_slides
from blocks.families._rope import read_rope
from blocks.hub.config import Config

SINK_KEYS = (("model.layers.{i}.self_attn.sinks", "layers.{i}.attention.sinks"),)


def read_granite(
    c: Config, mlp: Spec, *, context: int = 2048, eps: float = 1e-6, kv_heads: int | None = None
) -> Spec:
    """LLaMA with the four numbers around an MLP or experts; the others are a family's defaults."""
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, context)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, eps))
    options = {
        "bias": c.take("attention_bias", bool, False),
        "scale": read_factor(c, "attention_multiplier"),
        "kv_heads": kv_heads,
    }
    attention = common.attention(c, dim, read_rope(c, context), **options)
    layer = common.pre_norm(norm, attention, mlp, scale=read_factor(c, "residual_multiplier"))
    embedding = Spec(TokenEmbedding, scale=read_factor(c, "embedding_multiplier"))
    head = Spec(LMHead, scale=1 / read_factor(c, "logits_scaling"))
    return common.decoder(c, layer, norm, dim, context, embedding=embedding, head=head)


def read_factor(c: Config, name: str, absent: float = 1.0) -> float:
    """One of the numbers; `absent` is what a config means that doesn't say it."""
    factor = c.take(name, float, absent)
    if factor <= 0:
        raise c.error(name, f"must be above zero, not {factor}")
    return factor


def write_granite(s: Spec, **how: Any) -> dict[str, Any]:
    """The fields that `read_granite` is read from; how is that of `write_decoder`."""
    attention = attentions(s)[0].keywords
    layer = s.keywords["layers"][0].keywords["steps"]["mlp"]
    scale = at(s, "head").keywords["scale"]
    own = {
        "attention_bias": attention["bias"],
        "attention_multiplier": attention["scale"],
        "embedding_multiplier": at(s, "embedding").keywords["scale"],
        "logits_scaling": roundest(1 / scale, lambda n: n != 0 and 1 / n == scale),
        "residual_multiplier": layer.keywords["scale"],
    }
    return common.write_decoder(s, **how) | own


def read_windows(c: Config, whole: Spec) -> Spec:
    """The model with sinks, windows in most layers, and in each its own θ: 0 is no positions."""
    layers, attention = whole.keywords["layers"], at(whole, "layers.0.attention")
    rope = attention.keywords["qk"][0]
    if rope.keywords["theta"] <= 0:  # which no layer may use
        raise c.error("rope_theta", f"must be above zero, not {rope.keywords['theta']}")
    listed = c.take("layer_rope_theta", tuple[float, ...], None)
    thetas = (rope.keywords["theta"],) * len(layers) if listed is None else listed
    check_depth(c, "layer_rope_theta", thetas, len(layers))
    slides = read_slides(c, lambda i: i % 4 != 0)
    found, size = [], read_or_null(c, "sliding_window", 128)
    for layer, mask, theta in zip(layers, masks(c, slides, size), thetas, strict=True):
        own = {"mask": mask, "qk": (replace(rope, theta=theta),) if theta else (), "sinks": True}
        found.append(rewrite(layer, "attention", replace(attention, **own)))
    return replace(whole, layers=tuple(found))


def write_windows(s: Spec) -> dict[str, Any]:
    """The fields that `read_windows` is read from."""
    every = [attention.keywords["qk"] for attention in attentions(s)]
    thetas = [qk[0].keywords["theta"] if qk else 0.0 for qk in every]
    return write_slides(s) | {"layer_rope_theta": thetas}
