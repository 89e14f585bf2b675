"""IQuest-Coder: LLaMA with eight key heads and heads 128 wide where a config doesn't say them.

IQuestLab, "IQuest-Coder-V1", 2026.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec
from blocks.families._llama import KEYS, read_llama, write_llama
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.only("clip_qkv", None)
    c.only("use_sliding_window", None, False)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    return read_llama(c, norm, context=131_072, kv_heads=8, head_dim=128)


def config(s: Spec) -> dict[str, Any]:
    return write_llama(s, head_dim=True)


FAMILY = Family("iquestcoder", ("IQuestCoderForCausalLM", "LlamaForCausalLM"), spec, config, KEYS)
