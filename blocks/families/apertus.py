"""Apertus: LLaMA with normed queries and keys, and xIELU between two projections for its MLP.

Apertus Project, "Apertus", 2025, arXiv:2509.14233.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, XIELU, Llama3Scaling, QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation, write_activation
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    for name, only in {"qk_norm": True, "post_norm": False, "mlp_bias": False}.items():
        c.only(name, only)  # in published files, and read by nobody
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 65_536)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    rope = read_rope(c, context, theta=12e6, scaling=Llama3Scaling(8.0, 1.0, 4.0, 8192))
    bias = c.take("attention_bias", bool, False)
    attention = common.attention(c, dim, Spec(QKNorm, norm=norm), rope, bias=bias)
    learnt = c.take("hidden_act", str, "xielu") == "xielu"
    act = Spec(XIELU) if learnt else read_activation(c)
    mlp = Spec(MLP, hidden=c.take("intermediate_size", int), act=act, bias=False)
    return common.decoder(c, common.pre_norm(norm, attention, mlp), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    fields, mlp = common.write_decoder(s), at(s, "layers.0.mlp").keywords
    act = mlp["act"]
    return fields | {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "hidden_act": write_activation(act) if isinstance(act, str) else "xielu",
        "intermediate_size": mlp["hidden"],
        "rope_scaling": fields["rope_scaling"] or {"rope_type": "default"},  # null means another
    }


_MLP = "model.layers.{i}.mlp."
KEYS = Keys(
    *common.END_KEYS,
    *common.QKV_KEYS,
    *common.QK_NORM_KEYS,
    ("model.layers.{i}.attention_layernorm.{w}", "layers.{i}.attention.norm_in.{w}"),
    ("model.layers.{i}.feedforward_layernorm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    *common.PRE_NORM_KEYS,
    *((f"{_MLP}{part}_proj.{{w}}", f"layers.{{i}}.mlp.{part}.{{w}}") for part in ("up", "down")),
    *(
        (f"{_MLP}act_fn.{part}", f"layers.{{i}}.mlp.act.{part}")
        for part in ("alpha_p", "alpha_n", "beta", "eps")
    ),
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("apertus", ("ApertusForCausalLM",), spec, config, KEYS)
