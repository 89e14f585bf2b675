"""Helium: LLaMA whose heads turn in adjacent pairs of channels.

Kyutai, "Helium 1", 2025.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec
from blocks.families._llama import KEYS, read_llama, write_llama
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-8), cast="after")
    sizes: dict[str, Any] = {"context": 4096, "kv_heads": 20, "head_dim": 128}
    rope = {"theta": 1e5, "pairing": "adjacent"}
    return read_llama(c, norm, rope=rope, out_bias=False, **sizes)


def config(s: Spec) -> dict[str, Any]:
    return write_llama(s, head_dim=True)


FAMILY = Family("helium", ("HeliumForCausalLM",), spec, config, KEYS)
