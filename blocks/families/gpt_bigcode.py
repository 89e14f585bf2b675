"""GPT-BigCode (SantaCoder, StarCoder): GPT-2 with one key head, and nothing transposed.

Ben Allal et al., 2023, arXiv:2301.03988; Li et al., "StarCoder", 2023, arXiv:2305.06161.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, Spec, at
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

# How it was trained and served, and where 16-bit values are rounded.
_HARMLESS = ("attention_softmax_in_fp32", "scale_attention_softmax_in_fp32")
_HARMLESS += ("validate_runner_input", "pre_allocate_kv_cache")


def spec(c: Config) -> Spec:
    for name in _HARMLESS:
        c.take(name, bool, None)
    dim, context = c.take("n_embd", int), c.take("n_positions", int, 1024)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5))
    kv_heads = 1 if c.take("multi_query", bool, True) else None
    scale = None if c.take("scale_attn_weights", bool, True) else 1.0
    attention = classic.attention(c, dim, rate=0.1, kv_heads=kv_heads, scale=scale)
    kv_heads = attention.keywords["kv_heads"]
    if c.take("num_key_value_heads", int, kv_heads) != kv_heads:
        raise c.error("num_key_value_heads", f"multi_query makes it {kv_heads} heads")
    mlp = classic.mlp(c, 4 * dim, act="gelu_pytorch_tanh")
    layer = pre_norm(norm, attention, mlp, dropout=c.take("resid_pdrop", float, 0.1))
    stem = classic.learned(context, dropout=c.take("embd_pdrop", float, 0.1))
    return decoder(c, (layer,) * count(c, "n_layer"), norm, dim, context, stem=stem)


def config(s: Spec) -> dict[str, Any]:
    attention = at(s, "layers.0.attention").keywords
    own = {
        "multi_query": attention["kv_heads"] == 1,
        "scale_attn_weights": attention["scale"] is None,
    }
    return classic.write(s, classic.GPT) | own


def keys(s: Spec) -> Keys:
    attention = "transformer.h.{i}.attn."
    return classic.gpt2_keys(attention, classic.fused(attention + "c_attn.{w}", s))


FAMILY = Family("gpt_bigcode", ("GPTBigCodeForCausalLM",), spec, config, keys)
