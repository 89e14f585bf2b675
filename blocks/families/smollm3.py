"""SmolLM3: LLaMA without positions in every fourth layer, which may see a window.

Bakouch et al., "SmolLM3", Hugging Face, 2025; layers without positions: Yang et al., "RNoPE",
2025, arXiv:2501.18795.
"""

from __future__ import annotations

from typing import Any

from blocks import RMSNorm, Spec
from blocks.families import _decoder as common
from blocks.families import _layers as kinds
from blocks.families._dialects import count
from blocks.families._llama import KEYS, write_llama
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.take("max_window_layers", int, None)  # the published file has it, and nothing reads it
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 32_768)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6))
    rope, depth = read_rope(c, context, theta=2e6), count(c, "num_hidden_layers")
    period = c.take("no_rope_layer_interval", int, 4)
    turns = c.take("no_rope_layers", tuple[int, ...], None)  # 1 where there is a RoPE
    turns = tuple((i + 1) % period for i in range(depth)) if turns is None else turns
    kinds.check_depth(c, "no_rope_layers", turns, depth)
    window = kinds.read_switched_window(c, None)
    slides = kinds.read_slides(c, lambda i: window is not None and not turns[i])
    options = {"kv_heads": 4, "bias": c.take("attention_bias", bool, False)}
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False))
    layers = []
    for mask, turn in zip(kinds.masks(c, slides, window), turns, strict=True):
        attention = common.attention(c, dim, *([rope] if turn else []), mask=mask, **options)
        layers.append(common.pre_norm(norm, attention, mlp))
    return common.decoder(c, tuple(layers), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    slides = kinds.write_slides(s)
    own = {
        "no_rope_layers": [int(bool(one.keywords["qk"])) for one in kinds.attentions(s)],
        "use_sliding_window": "sliding_attention" in slides["layer_types"],
    }
    return write_llama(s) | slides | own


FAMILY = Family("smollm3", ("SmolLM3ForCausalLM",), spec, config, KEYS)
