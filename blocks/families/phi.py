"""Phi-1, 1.5 and 2: attention and MLP side by side under one layer norm.

Gunasekar et al., "Textbooks are all you need", 2023, arXiv:2306.11644; Li et al., 2023,
arXiv:2309.05463.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, LayerNorm, LMHead, Parallel, QKNorm, Residual, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5))
    qk = (Spec(QKNorm, norm=norm),) if c.take("qk_layernorm", bool, False) else ()
    attention = common.attention(c, dim, *qk, read_rope(c, context, rotated=0.5), bias=True)
    hidden = c.take("intermediate_size", int)
    mlp = Spec(MLP, hidden=hidden, act=read_activation(c, default="gelu_new"))
    both = Spec(Parallel, branches={"attention": attention, "mlp": mlp})
    layer = Spec(Residual, inner=both, norm_in=norm, dropout=c.take("resid_pdrop", float, 0.0))
    embedding = Spec(TokenEmbedding, dropout=c.take("embd_pdrop", float, 0.0))
    head = Spec(LMHead, bias=True)
    return common.decoder(c, layer, norm, dim, context, embedding=embedding, head=head)


def config(s: Spec) -> dict[str, Any]:
    attention = at(s, "layers.0.attention").keywords
    own = {
        "embd_pdrop": at(s, "embedding").keywords["dropout"],
        "partial_rotary_factor": attention["qk"][-1].keywords["rotated"],
        "qk_layernorm": attention["qk"][0].func is QKNorm,
        "resid_pdrop": s.keywords["layers"][0].keywords["dropout"],
    }
    mlp = common.write_mlp(at(s, "layers.0.mlp"))
    return common.write_decoder(s, eps="layer_norm_eps") | mlp | own


KEYS = Keys(
    *common.END_KEYS,
    *common.QKV_KEYS,
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.norm_in.{w}"),
    ("model.layers.{i}.self_attn.dense.{w}", "layers.{i}.attention.out.{w}"),
    ("model.layers.{i}.self_attn.q_layernorm.{w}", "layers.{i}.attention.qk.0.q.{w}"),
    ("model.layers.{i}.self_attn.k_layernorm.{w}", "layers.{i}.attention.qk.0.k.{w}"),
    ("model.layers.{i}.mlp.fc1.{w}", "layers.{i}.mlp.up.{w}"),
    ("model.layers.{i}.mlp.fc2.{w}", "layers.{i}.mlp.down.{w}"),
    ("model.final_layernorm.{w}", "norm.{w}"),
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("phi", ("PhiForCausalLM",), spec, config, KEYS)
