"""What the DeepSeek families share: latent attention, dense layers first, then experts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from blocks import GatedMLP, LatentAttention, MoE, RMSNorm, Spec, YarnScaling, at
from blocks.families import _decoder as common
from blocks.families._dialects import count, read_activation, read_or_null, write_activation
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import REQUIRED, Config
from blocks.hub.keys import Rule, Stack
from blocks.positions.yarn import yarn_magnitude

_LATENT_EPS = 1e-6  # of the norms inside attention, whatever rms_norm_eps says

# Of training, of which machine holds which expert, and of a second model in the same file.
_UNUSED = {
    "aux_loss_alpha": float,
    "seq_aux": bool,
    "ep_size": int,
    "num_nextn_predict_layers": int,
}

_ATTENTION = {
    "q_proj": "q",
    "q_a_proj": "q_down",
    "q_a_layernorm": "q_norm",
    "q_b_proj": "q_up",
    "kv_a_proj_with_mqa": "kv_down",
    "kv_a_layernorm": "kv_norm",
    "kv_b_proj": "kv_up",
}
_MLP = {"gate_proj": "gate", "up_proj": "up", "down_proj": "down"}
_EXPERTS = "model.layers.{i}.mlp.experts"
_EXPERT = "layers.{i}.mlp.experts.{e}"

_LATENT_KEYS = tuple(
    (f"model.layers.{{i}}.self_attn.{theirs}.{{w}}", f"layers.{{i}}.attention.{ours}.{{w}}")
    for theirs, ours in _ATTENTION.items()
)
_MLP_KEYS = tuple(
    (f"model.layers.{{i}}.mlp.{place}{theirs}.{{w}}", f"layers.{{i}}.mlp.{within}{ours}.{{w}}")
    for place, within in (("", ""), ("shared_experts.", "shared."))
    for theirs, ours in _MLP.items()
)
_EXPERT_KEYS = tuple(
    (f"{_EXPERTS}.{{e}}.{theirs}.weight", f"{_EXPERT}.{ours}.weight")
    for theirs, ours in _MLP.items()
)
_ROUTER_KEYS: tuple[tuple[str, str] | Rule, ...] = (
    ("model.layers.{i}.mlp.gate.weight", "layers.{i}.mlp.router.weight"),
    ("model.layers.{i}.mlp.gate.e_score_correction_bias", "layers.{i}.mlp.router.correction"),
    Stack(f"{_EXPERTS}.gate_up_proj", (f"{_EXPERT}.gate.weight", f"{_EXPERT}.up.weight")),
    Stack(f"{_EXPERTS}.down_proj", (f"{_EXPERT}.down.weight",)),
)


KEYS = (
    *common.END_KEYS,
    *common.PRE_NORM_KEYS,
    *_LATENT_KEYS,
    *_MLP_KEYS,
    *_EXPERT_KEYS,
    *_ROUTER_KEYS,
)
# What files in fp8 hold as such.
MATRIX_KEYS = (
    ("model.layers.{i}.self_attn.o_proj.{w}", "layers.{i}.attention.out.{w}"),
    *(pair for pair in _LATENT_KEYS if "norm" not in pair[1]),
    *_MLP_KEYS,
    *_EXPERT_KEYS,
)


@dataclass(frozen=True)
class Sizes:
    """What a config means that doesn't say them."""

    context: int
    dense: int
    expert: int
    experts: int
    shared: int
    first: int
    top_k: Any = REQUIRED
    kv_heads: int | None = None


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
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    attention, act = _attention(c, context, sizes, adjacent), read_activation(c)
    hidden = c.take("moe_intermediate_size", int, sizes.expert)
    together = hidden * c.take("n_shared_experts", int, sizes.shared)
    experts = Spec(
        MoE,
        experts=count(c, "n_routed_experts", sizes.experts),
        top_k=c.take("num_experts_per_tok", int, sizes.top_k),
        expert=Spec(GatedMLP, hidden=hidden, act=act),
        router=router(c),
        shared=Spec(GatedMLP, hidden=together, act=act, bias=bias),
    )
    dense = Spec(GatedMLP, hidden=c.take("intermediate_size", int, sizes.dense), act=act, bias=bias)
    first = c.take("first_k_dense_replace", int, sizes.first, low=0)
    layers = tuple(
        common.pre_norm(norm, attention, dense if i < first else experts)
        for i in range(count(c, "num_hidden_layers"))
    )
    for name, kind in _UNUSED.items():
        c.take(name, kind, None, low=0)
    return common.decoder(c, layers, norm, dim, context)


def _attention(c: Config, context: int, sizes: Sizes, adjacent: bool) -> Spec:
    heads = c.take("num_attention_heads", int)
    kv_heads = read_or_null(c, "num_key_value_heads", sizes.kv_heads)
    if kv_heads not in (None, heads):
        raise c.error("num_key_value_heads", f"{kv_heads} is not {heads}: every head has its keys")
    nope, rope_dim = c.take("qk_nope_head_dim", int, 128), c.take("qk_rope_head_dim", int, 64)
    c.only("head_dim", rope_dim)
    c.only("qk_head_dim", nope + rope_dim)
    rope = read_rope(c, context, pairing="adjacent" if adjacent else "half")
    contrast = _read_contrast(c, rope.keywords["scaling"])
    bias = c.take("attention_bias", bool, False)
    return Spec(
        LatentAttention,
        heads=heads,
        kv_rank=c.take("kv_lora_rank", int, 512),
        nope_dim=nope,
        rope_dim=rope_dim,
        value_dim=c.take("v_head_dim", int, 128),
        q_rank=read_or_null(c, "q_lora_rank", 1536),
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


def experts(s: Spec) -> Mapping[str, Any]:
    """The options of the last layer's mixture of experts."""
    return at(s.keywords["layers"][-1], "mlp").keywords


def write(s: Spec) -> dict[str, Any]:
    """The fields that `spec` is read from; the router's are the family's."""
    layers = s.keywords["layers"]
    attention, every = at(s, "layers.0.attention").keywords, [at(x, "mlp") for x in layers]
    dense = [mlp.keywords for mlp in every if mlp.func is GatedMLP]
    moe = experts(s)
    expert, shared = moe["expert"].keywords, moe["shared"].keywords
    return {
        "attention_bias": attention["bias"],
        "attention_dropout": attention["dropout"],
        "first_k_dense_replace": len(dense),
        "hidden_act": write_activation(expert["act"]),
        "hidden_size": s.keywords["dim"],
        "kv_lora_rank": attention["kv_rank"],
        "moe_intermediate_size": expert["hidden"],
        "n_routed_experts": moe["experts"],
        "n_shared_experts": shared["hidden"] // expert["hidden"],
        "num_attention_heads": attention["heads"],
        "num_experts_per_tok": moe["top_k"],
        "num_hidden_layers": len(layers),
        "num_key_value_heads": attention["heads"],
        "q_lora_rank": attention["q_rank"],
        "qk_nope_head_dim": attention["nope_dim"],
        "qk_rope_head_dim": attention["rope_dim"],
        "rms_norm_eps": at(s, "norm").keywords["eps"],
        "tie_word_embeddings": bool(s.keywords["ties"]),
        "v_head_dim": attention["value_dim"],
        "vocab_size": s.keywords["vocab"],
        **({"intermediate_size": dense[0]["hidden"]} if dense else {}),
        **_write_rope(s, attention),
    }
