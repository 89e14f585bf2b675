"""Nemotron-4 and Minitron: layer norms stored as w − 1, half-turned heads, and squared relu.

Parmar et al., "Nemotron-4 15B", 2024, arXiv:2402.16819; Muralidharan et al., "Minitron", 2024,
arXiv:2407.14679.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, Spec, at
from blocks.families._llama import KEYS, plain_mlp, read_llama, write_llama
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    norm = Spec(LayerNorm, eps=c.take("norm_eps", float, 1e-5), offset=1.0)
    return read_llama(c, norm, plain_mlp(c, "relu2"), context=4096, rope={"rotated": 0.5})


def config(s: Spec) -> dict[str, Any]:
    rope = at(s, "layers.0.attention").keywords["qk"][0].keywords
    return write_llama(s, eps="norm_eps") | {"partial_rotary_factor": rope["rotated"]}


FAMILY = Family("nemotron", ("NemotronForCausalLM",), spec, config, KEYS)
