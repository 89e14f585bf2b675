"""Arcee's AFM: LLaMA with a plain MLP and squared relu.

Arcee AI, "AFM-4.5B", 2025; the activation: So et al., "Primer", 2021, arXiv:2109.08668.
"""

from __future__ import annotations

from blocks import RMSNorm, Spec
from blocks.families._llama import KEYS, plain_mlp, read_llama, write_llama
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    return read_llama(c, norm, plain_mlp(c, "relu2"), context=4096)


FAMILY = Family("arcee", ("ArceeForCausalLM",), spec, write_llama, KEYS)
