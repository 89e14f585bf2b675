"""Jamba: one layer in eight attends, the others are Mamba's; every second has experts.

Lieber et al., "Jamba: a hybrid Transformer-Mamba language model", 2024, arXiv:2403.19887.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, SoftmaxRouter, Spec
from blocks.families import _decoder as common
from blocks.families import _jamba as own
from blocks.families._dialects import read_or_null
from blocks.families._hybrids import build_layers
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    dim = c.take("hidden_size", int)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    moe = common.moe(c, Spec(SoftmaxRouter, renormalize=False), 16)
    mlps = (common.gated_mlp(c), moe if moe.keywords["experts"] > 1 else common.gated_mlp(c))
    firsts = {
        "attention": common.attention(c, dim, kv_heads=8),
        "mixer": own.read_mixer(c, dim, norm),
    }
    kinds, sparse = own.read_kinds(c)
    layers = build_layers(norm, firsts, [mlps[one] for one in sparse], kinds)
    for code in ("use_mamba_kernels", "use_mambapy", "use_associative_scan"):
        c.take(code, bool, True)
    c.only("mamba_inner_layernorms", True)
    c.take("calc_logits_for_entire_prompt", bool, False)  # older than the next
    read_or_null(c, "num_logits_to_keep", 1)  # of a prompt, by the reference's generate
    read_or_null(c, "sliding_window", None)  # of the first files, which no layer has
    context = c.take("max_position_embeddings", int, 262_144, aliases=("n_ctx",))
    return common.decoder(c, layers, norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    return common.write_decoder(s, rope={}) | own.write_kinds(s) | own.write_mixer(s)


FAMILY = Family("jamba", ("JambaForCausalLM",), spec, config, own.KEYS)
