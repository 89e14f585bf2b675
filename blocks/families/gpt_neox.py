"""GPT-NeoX and Pythia: attention and MLP side by side under a norm each, RoPE on a quarter.

Black et al., 2022, arXiv:2204.06745; Biderman et al., 2023, arXiv:2304.01373.
"""

from __future__ import annotations

from typing import Any

from blocks import Chain, LayerNorm, Spec, TokenEmbedding, at
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5))
    share = c.take("rotary_pct", float, 0.25)
    c.assume(rope_theta=c.take("rotary_emb_base", float, 1e4))
    qk = (read_rope(c, context, rotated=share),)
    bias, dropout = c.take("attention_bias", bool, True), c.take("hidden_dropout", float, 0.0)
    attention = classic.attention(c, dim, names=classic.LLAMA, bias=bias, qk=qk)
    mlp = classic.mlp(c, names=classic.LLAMA, act="gelu")
    wiring = classic.apart if c.take("use_parallel_residual", bool, True) else pre_norm
    layer, table = (
        wiring(norm, attention, mlp, dropout=dropout),
        Spec(TokenEmbedding, dropout=dropout),
    )
    return decoder(c, layer, norm, dim, context, embedding=table)


def config(s: Spec) -> dict[str, Any]:
    rope = write_rope(s)
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "rotary_emb_base": rope.pop("rope_theta"),
        "rotary_pct": rope.pop("partial_rotary_factor", 1.0),
        "use_parallel_residual": s.keywords["layers"][0].func is not Chain,
    }
    return classic.write(s, classic.LLAMA) | own | rope


def keys(s: Spec) -> Keys:
    layer, unread = "gpt_neox.layers.{i}.", ("bias", "masked_bias", "rotary_emb.inv_freq")
    return Keys(
        ("gpt_neox.embed_in.weight", "embedding.weight"),
        ("embed_out.weight", "head.weight"),
        ("lm_head.weight", "head.weight"),
        *classic.megatron(layer, s, "attention"),
        ("gpt_neox.final_layer_norm.{w}", "norm.{w}"),
        ignore=[f"{layer}attention.{name}" for name in unread],
        optional="gpt_neox.",
    )


FAMILY = Family("gpt_neox", ("GPTNeoXForCausalLM",), spec, config, keys)
