"""What Hunyuan's families share: RoPE stretched by a fixed number, then the norms of q and k."""

from __future__ import annotations

from blocks import DynamicScaling, Spec, replace
from blocks.families._rope import read_rope
from blocks.hub.config import Config

QK_KEYS = (
    ("model.layers.{i}.self_attn.query_layernorm.{w}", "layers.{i}.attention.qk.1.q.{w}"),
    ("model.layers.{i}.self_attn.key_layernorm.{w}", "layers.{i}.attention.qk.1.k.{w}"),
)

_UNREAD = ("beta_fast", "beta_slow", "mscale", "mscale_all_dim")  # beside alpha in published files


def read_stretched(c: Config, attention: Spec, context: int) -> Spec:
    """The attention with RoPE before all else that happens to queries and keys.

    Files call it dynamic, but `alpha` stretches θ once and for all, whatever the length.
    """
    width, norms = attention.keywords["head_dim"], attention.keywords["qk"]
    inner = c.inner("rope_parameters") or c.inner("rope_scaling") or Config({}, c.file)
    rope, alpha = read_rope(c, context), inner.take("alpha", float, None)
    if alpha and isinstance(rope.keywords["scaling"], DynamicScaling):
        if alpha < 0:
            raise inner.error("alpha", f"must be above zero, not {alpha}")
        for name in _UNREAD:
            inner.take(name, float, None)
        theta = rope.keywords["theta"] * alpha ** (width / (width - 2))
        rope = replace(rope, theta=theta, scaling=None)
    return replace(attention, qk=(rope, *norms))
