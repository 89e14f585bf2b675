"""What Hunyuan's families share: RoPE stretched by a fixed number, then the norms of q and k."""

from __future__ import annotations

from collections.abc import Mapping

from blocks import Spec, replace
from blocks.families._rope import read_rope
from blocks.hub.config import Config

QK_KEYS = (
    ("model.layers.{i}.self_attn.query_layernorm.{w}", "layers.{i}.attention.qk.1.q.{w}"),
    ("model.layers.{i}.self_attn.key_layernorm.{w}", "layers.{i}.attention.qk.1.k.{w}"),
)


def read_stretched(c: Config, attention: Spec, context: int) -> Spec:
    """The attention with RoPE before all else that happens to queries and keys.

    Files call it dynamic, but `alpha` stretches θ once and for all, whatever the length.
    """
    width, norms = attention.keywords["head_dim"], attention.keywords["qk"]
    name = "rope_parameters" if c.data.get("rope_parameters") else "rope_scaling"
    said = c.data.get(name)
    alpha = said.get("alpha") if isinstance(said, Mapping) else None
    kind = said.get("rope_type", said.get("type")) if isinstance(said, Mapping) else None
    if not alpha or kind != "dynamic":
        return replace(attention, qk=(read_rope(c, context), *norms))
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or alpha <= 0:
        raise c.error(f"{name}.alpha", f"must be a number above zero, not {alpha!r}")
    rope = read_rope(c, context)
    theta = rope.keywords["theta"] * float(alpha) ** (width / (width - 2))
    return replace(attention, qk=(replace(rope, theta=theta, scaling=None), *norms))
