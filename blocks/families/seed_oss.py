"""Seed-OSS: LLaMA with biases on q, k and v, heads of a free width, and dropout in training.

ByteDance Seed, "Seed-OSS", 2025.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families._llama import KEYS, read_llama, write_llama
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    sizes = {"context": 524_288, "kv_heads": 8, "head_dim": 128, "dropout": 0.1}
    biases = {"bias": True, "out_bias": c.take("attention_out_bias", bool, False)}
    around = {"dropout": c.take("residual_dropout", float, 0.1)}
    return read_llama(c, norm, around=around, **biases, **sizes)


def config(s: Spec) -> dict[str, Any]:
    return write_llama(s, head_dim=True) | {
        "attention_out_bias": at(s, "layers.0.attention").keywords["out_bias"],
        "residual_dropout": s.keywords["layers"][0].keywords["steps"]["mlp"].keywords["dropout"],
    }


FAMILY = Family("seed_oss", ("SeedOssForCausalLM",), spec, config, KEYS)
