"""Gemma: LLaMA with weights of norms stored as w − 1, embeddings times √D, and tanh-gelu.

Gemma Team, "Gemma", 2024, arXiv:2403.08295.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation
from blocks.families._llama import KEYS
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.only("use_bidirectional_attention", None, False)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), offset=1.0, cast="after")
    sizes = {"kv_heads": 16, "head_dim": 256, "bias": c.take("attention_bias", bool, False)}
    attention = common.attention(c, dim, read_rope(c, context), **sizes)
    act = read_activation(c, default="gelu_pytorch_tanh")
    newer = read_activation(c, "hidden_activation", "gelu_pytorch_tanh")
    # The first files say "gelu" and mean its tanh form.
    mlp = common.gated_mlp(c, act=newer if act == "gelu" else act)
    layer, embedding = common.pre_norm(norm, attention, mlp), Spec(TokenEmbedding, scale=dim**0.5)
    return common.decoder(c, layer, norm, dim, context, embedding=embedding)


def config(s: Spec) -> dict[str, Any]:
    biases = {"attention_bias": at(s, "layers.0.attention").keywords["bias"]}
    mlp = common.write_mlp(at(s, "layers.0.mlp"), tanh="gelu_pytorch_tanh")
    return common.write_decoder(s, head_dim=True) | mlp | biases


FAMILY = Family("gemma", ("GemmaForCausalLM",), spec, config, KEYS)
