"""LLaMA: pre-norm layers of grouped-query attention with RoPE and a gated MLP.

Touvron et al., 2023, arXiv:2302.13971 and arXiv:2307.09288; Grattafiori et al., "The Llama 3 Herd
of Models", 2024, arXiv:2407.21783.
"""

from __future__ import annotations

from blocks import RMSNorm, Spec
from blocks.families._llama import KEYS, read_llama, write_llama
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.only("is_llama_config", True)  # SmolLM2 says this and the next
    c.only("rope_interleaved", False)
    oldest = c.take("max_sequence_length", int, 2048)  # as the first files had it
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    return read_llama(c, norm, context=oldest)


FAMILY = Family("llama", ("LlamaForCausalLM",), spec, write_llama, KEYS)
