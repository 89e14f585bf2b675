"""Jais 2: LLaMA with layer norms, biases everywhere, and a plain MLP with squared relu.

Inception, "Jais 2", 2025; Sengupta et al., "Jais", 2023, arXiv:2308.16149.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, Spec
from blocks.families._llama import KEYS, plain_mlp, read_llama, write_llama
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5))
    return read_llama(c, norm, plain_mlp(c, "relu2", bias=True), context=8192, bias=True)


def config(s: Spec) -> dict[str, Any]:
    return write_llama(s, eps="layer_norm_eps")


FAMILY = Family("jais2", ("Jais2ForCausalLM",), spec, config, KEYS)
