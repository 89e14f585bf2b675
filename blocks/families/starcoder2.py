"""StarCoder 2: grouped attention with RoPE and a window, layer norms and a plain MLP.

Lozhkov et al., "StarCoder 2 and The Stack v2", 2024, arXiv:2402.19173.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, Spec, TokenEmbedding, at
from blocks.families import _classic as classic
from blocks.families import _decoder as common
from blocks.families._dialects import read_window
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

# What the first files say besides.
_FIRST = {"mlp_type": "default", "norm_type": "layer_norm", "scale_attn_weights": True}


def spec(c: Config) -> Spec:
    for name, value in _FIRST.items():
        c.only(name, value)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 4096)
    eps = c.take("norm_epsilon", float, 1e-5, aliases=("layer_norm_epsilon",))
    norm, bias = Spec(LayerNorm, eps=eps), c.take("use_bias", bool, True)
    for name in ("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32"):
        c.take(name, bool, True)  # where 16-bit values are rounded
    options = {"bias": bias, "kv_heads": 2, "mask": read_window(c)}
    attention = common.attention(c, dim, read_rope(c, context), **options)
    mlp = classic.mlp(c, names=classic.LLAMA, act="gelu_pytorch_tanh", bias=bias)
    dropout = c.take("residual_dropout", float, 0.0)
    layer = common.pre_norm(norm, attention, mlp, dropout=dropout)
    embedding = Spec(TokenEmbedding, dropout=c.take("embedding_dropout", float, 0.0))
    return common.decoder(c, layer, norm, dim, context, embedding=embedding)


def config(s: Spec) -> dict[str, Any]:
    step = s.keywords["layers"][0].keywords["steps"]["mlp"]
    own = {
        "embedding_dropout": at(s, "embedding").keywords["dropout"],
        "residual_dropout": step.keywords["dropout"],
        "use_bias": at(s, "layers.0.attention").keywords["bias"],
    }
    mlp = common.write_mlp(at(s, "layers.0.mlp"), tanh="gelu_pytorch_tanh")
    return common.write_decoder(s, eps="norm_epsilon") | mlp | common.write_mask(s) | own


KEYS = Keys(
    *common.DECODER_KEYS,
    ("model.layers.{i}.mlp.c_fc.{w}", "layers.{i}.mlp.up.{w}"),
    ("model.layers.{i}.mlp.c_proj.{w}", "layers.{i}.mlp.down.{w}"),
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("starcoder2", ("Starcoder2ForCausalLM",), spec, config, KEYS)
