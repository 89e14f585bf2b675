"""Falcon Mamba: Mamba with norms of what it reads its step lengths, writing and reading from.

Zuo et al., "Falcon Mamba", 2024, arXiv:2410.05355.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, at
from blocks.families import mamba
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.take("use_falcon_mambapy", bool, False)  # which code of the reference computes the same
    eps = c.take("mixer_rms_eps", float, 1e-6)
    return mamba.read(c, Spec(RMSNorm, eps=eps, weight=False))


def config(s: Spec) -> dict[str, Any]:
    inside = at(s, "layers.0.mixer").keywords["norm"].keywords
    return mamba.config(s) | {"mixer_rms_eps": inside["eps"]}


FAMILY = Family("falcon_mamba", ("FalconMambaForCausalLM",), spec, config, mamba.KEYS)
