"""Zamba2: Mamba-2's layers, a few of which share one or two transformer blocks.

Glorioso et al., "The Zamba2 suite", 2024, arXiv:2411.15242.
"""

from __future__ import annotations

import math
from typing import Any

from blocks import Chain, Residual, RMSNorm, Save, Spec, at
from blocks.families import _zamba2 as own
from blocks.families._decoder import decoder
from blocks.families._dialects import parts, read_or_null
from blocks.families._mamba2 import read_mixer, write_mixer
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import Config
from blocks.hub.family import Family

# Sizes that follow from others, and other code that computes the same.
_UNUSED = dict.fromkeys(("attention_hidden_size", "kv_channels", "num_query_groups"), int)
_UNUSED |= dict.fromkeys(("use_mamba_kernels", "use_mem_eff_path"), bool)


def spec(c: Config) -> Spec:
    for unused, kind in _UNUSED.items():
        c.take(unused, kind, None)
    for fresh in ("time_step_floor", "time_step_max"):
        if c.take(fresh, float, 1.0) <= 0:
            raise c.error(fresh, "must be above zero")
    c.only("tie_word_embeddings", True)  # without it, the reference shares no block either
    c.only("use_conv_bias", True)
    c.only("use_long_context", False)
    c.assume(rope_theta=10_000.0)  # which none of its files says
    read_or_null(c, "num_logits_to_keep", 1)  # of a prompt, by the reference's generate
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    norm, rope = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5)), read_rope(c, context)
    names, fastest = own.read_hybrids(c), c.take("time_step_min", float, 0.001)
    mixer = read_mixer(c, dim, own.MIXER, 1e-5, limits=(fastest, math.inf))
    shared = own.read_shared(c, dim, norm, (rope,) if c.take("use_mem_rope", bool, False) else ())
    plain = Spec(Chain, steps={"mixer": Spec(Residual, inner=mixer, norm_in=norm)})
    kinds = {name: own.hybrid(name, shared, mixer, norm) for name in names if name}
    layers = tuple(kinds[name] if name else plain for name in names)
    return decoder(c, layers, norm, dim, context, stem=Spec(Save, name=own.EMBEDDING))


def config(s: Spec) -> dict[str, Any]:
    whole, mixer = s.keywords, parts(s.keywords["layers"], "mixer")[0].keywords
    fields = own.write_layers(s) | write_mixer(s, own.MIXER) | write_rope(s)
    return fields | {
        "hidden_size": whole["dim"],
        "rms_norm_eps": at(s, "norm").keywords["eps"],
        "tie_word_embeddings": not whole["ties"] or "head.weight" in dict(whole["ties"]),
        "vocab_size": whole["vocab"],
        "time_step_min": mixer["limits"][0],
    }


NAMES = ("Zamba2ForCausalLM",)
FAMILY = Family("zamba2", NAMES, spec, config, own.keys, own.ties, shortest=own.LEAST)
