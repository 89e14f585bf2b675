"""What the DeepSeek families share: latent attention, dense layers first, then experts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from blocks import LatentAttention, RMSNorm, Spec, YarnScaling, at
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._dialects import read_or_null
from blocks.families._layers import write_first_dense
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import REQUIRED, Config
from blocks.positions.yarn import yarn_magnitude

_LATENT_EPS = 1e-6  # of the norms inside attention, whatever rms_norm_eps says

_ATTENTION = {
    "q_proj": "q",
    "q_a_proj": "q_down",
    "q_a_layernorm": "q_norm",
    "q_b_proj": "q_up",
    "kv_a_proj_with_mqa": "kv_down",
    "kv_a_layernorm": "kv_norm",
    "kv_b_proj": "kv_up",
}

LATENT_KEYS = tuple(
    (f"model.layers.{{i}}.self_attn.{theirs}.{{w}}", f"layers.{{i}}.attention.{ours}.{{w}}")
    for theirs, ours in _ATTENTION.items()
)
KEYS = (*common.END_KEYS, *common.PRE_NORM_KEYS, *LATENT_KEYS, *experts.KEYS)


@dataclass(frozen=True)
class Sizes:
    """What a config means that doesn't say them; `latent` are those of `latent`."""

    context: int
    dense: int
    expert: int
    experts: int
    shared: int
    first: int
    top_k: Any = REQUIRED
    eps: float = 1e-6
    latent: Mapping[str, Any] = field(default_factory=dict)


def spec(
    c: Config,
    sizes: Sizes,
    router: Callable[[Config], Spec],
    *,
    adjacent: bool = True,
    bias: bool = False,
) -> Spec:
    """The whole model.

    Args:
        c: the reader.
        sizes: the family's defaults.
        router: reads how experts are chosen.
        adjacent: whether RoPE turns neighbouring channels.
        bias: biases of the dense and the shared MLPs.
    """
    c.only("moe_layer_freq", 1)
    dim = c.take("hidden_size", int)
    context = c.take("max_position_embeddings", int, sizes.context)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, sizes.eps))
    attention = latent(c, context, adjacent=adjacent, **sizes.latent)
    options = {"hidden": sizes.expert, "top_k": sizes.top_k, "shared": sizes.shared, "bias": bias}
    moe = experts.read_experts(c, router(c), sizes.experts, **options)
    mlps = experts.read_mlps(c, moe, sizes.first, hidden=sizes.dense, bias=bias)
    layers = common.pre_norms(norm, attention, mlps)
    return common.decoder(c, layers, norm, dim, context)


def latent(
    c: Config,
    context: int,
    *,
    adjacent: bool = True,
    kv_heads: int | None = None,
    kv_rank: int = 512,
    q_rank: int = 1536,
    nope: int = 128,
    rope_dim: int = 64,
    value: int = 128,
) -> Spec:
    """Latent attention.

    Args:
        c: the reader.
        context: `max_position_embeddings`.
        adjacent: whether RoPE turns neighbouring channels.
        kv_heads: what a config means that doesn't say them; None is as many as heads.
        kv_rank: the same, as all that follow.
        q_rank: of queries, where null means that they have no latent.
        nope: width of a head's part without positions.
        rope_dim: of that with positions.
        value: of its values.
    """
    heads = c.take("num_attention_heads", int)
    kv_heads = read_or_null(c, "num_key_value_heads", kv_heads)
    if kv_heads not in (None, heads):
        raise c.error("num_key_value_heads", f"{kv_heads} is not {heads}: every head has its keys")
    nope = c.take("qk_nope_head_dim", int, nope)
    rope_dim = c.take("qk_rope_head_dim", int, rope_dim)
    c.only("head_dim", rope_dim)
    c.only("qk_head_dim", nope + rope_dim)
    rope = read_rope(c, context, pairing="adjacent" if adjacent else "half")
    contrast = _read_contrast(c, rope.keywords["scaling"])
    bias = c.take("attention_bias", bool, False)
    return Spec(
        LatentAttention,
        heads=heads,
        kv_rank=c.take("kv_lora_rank", int, kv_rank),
        nope_dim=nope,
        rope_dim=rope_dim,
        value_dim=c.take("v_head_dim", int, value),
        q_rank=read_or_null(c, "q_lora_rank", q_rank),
        norm=Spec(RMSNorm, eps=_LATENT_EPS),
        bias=bias,
        out_bias=bias,
        qk=(rope,),
        scale=None if contrast == 1.0 else (nope + rope_dim) ** -0.5 * contrast,
        dropout=c.take("attention_dropout", float, 0.0),
    )


def _read_contrast(c: Config, scaling: Any) -> float:
    """What YaRN's `mscale_all_dim` multiplies scores with, beside what `read_rope` made of it."""
    said = c.data.get("rope_parameters") or c.data.get("rope_scaling")
    if not isinstance(scaling, YarnScaling) or not isinstance(said, Mapping):
        return 1.0
    return yarn_magnitude(scaling.factor, said.get("mscale_all_dim") or 0.0) ** 2


def _write_rope(s: Spec, attention: Mapping[str, Any]) -> dict[str, Any]:
    fields, scaling = write_rope(s), attention["qk"][-1].keywords["scaling"]
    if attention["scale"] is None or not isinstance(scaling, YarnScaling):
        return fields
    width, log = attention["nope_dim"] + attention["rope_dim"], 0.1 * math.log(scaling.factor)
    spread = math.sqrt(attention["scale"] * width**0.5)
    said = {"mscale_all_dim": round((spread - 1) / log, 9)}
    if scaling.magnitude is not None:
        one = round((scaling.magnitude * spread - 1) / log, 9)
        every = yarn_magnitude(scaling.factor, said["mscale_all_dim"])
        if one and yarn_magnitude(scaling.factor, one) / every == scaling.magnitude:
            said |= {"mscale": one}
            del fields["rope_scaling"]["attention_factor"]
    return fields | {"rope_scaling": fields["rope_scaling"] | said}


def write(s: Spec, *, listed: bool = False) -> dict[str, Any]:
    """The fields that `spec` is read from; `listed` is whether the family lists its layers."""
    moe = experts.write_experts(s) | experts.write_router(s)
    return write_latent(s) | moe | write_first_dense(s, listed=listed)


def write_pairing(s: Spec) -> dict[str, Any]:
    """The field that says which channels RoPE turns together."""
    rope = at(s, "layers.0.attention").keywords["qk"][-1]
    return {"rope_interleave": rope.keywords["pairing"] == "adjacent"}


def write_latent(s: Spec) -> dict[str, Any]:
    """The fields of all but the MLPs."""
    attention, whole = at(s, "layers.0.attention").keywords, s.keywords
    return {
        "attention_bias": attention["bias"],
        "attention_dropout": attention["dropout"],
        "hidden_size": whole["dim"],
        "kv_lora_rank": attention["kv_rank"],
        "num_attention_heads": attention["heads"],
        "num_hidden_layers": len(whole["layers"]),
        "num_key_value_heads": attention["heads"],
        "q_lora_rank": attention["q_rank"],
        "qk_nope_head_dim": attention["nope_dim"],
        "qk_rope_head_dim": attention["rope_dim"],
        "rms_norm_eps": at(s, "norm").keywords["eps"],
        "tie_word_embeddings": bool(whole["ties"]),
        "v_head_dim": attention["value_dim"],
        "vocab_size": whole["vocab"],
        **_write_rope(s, attention),
    }
