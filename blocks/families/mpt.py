"""MPT: pre-norm layers with ALiBi and no biases; queries, keys and values may be clipped.

MosaicML, "Introducing MPT-7B", 2023.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, LayerNorm, Spec
from blocks.families import _classic as classic
from blocks.families._decoder import decoder, pre_norm
from blocks.families._dialects import count
from blocks.families._mpt import check_fixed, read_attention, write_attention
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys

NAMES = {
    "context": "max_seq_len",
    "depth": "n_layers",
    "dim": "d_model",
    "eps": "layer_norm_epsilon",
    "heads": "n_heads",
}


def spec(c: Config) -> Spec:
    check_fixed(c)
    dim, context = c.take("d_model", int), c.take("max_seq_len", int, 2048)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_epsilon", float, 1e-5), bias=False)
    attention, mlp = read_attention(c, dim), Spec(MLP, hidden=4 * dim, act="gelu", bias=False)
    layer = pre_norm(norm, attention, mlp, dropout=attention.keywords["dropout"])
    return decoder(c, (layer,) * count(c, "n_layers"), norm, dim, context)


def config(s: Spec) -> dict[str, Any]:
    return classic.write(s, NAMES) | write_attention(s)


KEYS = Keys(
    ("transformer.wte.weight", "embedding.weight"),
    ("lm_head.weight", "head.weight"),
    ("transformer.blocks.{i}.norm_1.weight", "layers.{i}.attention.norm_in.weight"),
    Join("transformer.blocks.{i}.attn.Wqkv.{w}", classic.QKV),
    ("transformer.blocks.{i}.attn.out_proj.weight", "layers.{i}.attention.out.weight"),
    ("transformer.blocks.{i}.norm_2.weight", "layers.{i}.mlp.norm_in.weight"),
    ("transformer.blocks.{i}.ffn.up_proj.weight", "layers.{i}.mlp.up.weight"),
    ("transformer.blocks.{i}.ffn.down_proj.weight", "layers.{i}.mlp.down.weight"),
    ("transformer.norm_f.weight", "norm.weight"),
    optional="transformer.",
)

FAMILY = Family("mpt", ("MptForCausalLM", "MPTForCausalLM"), spec, config, KEYS)
