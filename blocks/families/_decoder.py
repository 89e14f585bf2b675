"""What decoder families share: the stack, its fields of config.json and its tensor names."""

from __future__ import annotations

from typing import Any

from blocks import CausalLM, Chain, LMHead, Residual, Spec, at
from blocks.families._rope import write_rope
from blocks.hub.config import Config
from blocks.hub.keys import Rule

# The commonest names; what lies in the MLP differs.
DECODER_KEYS: tuple[tuple[str, str] | Rule, ...] = (
    ("model.embed_tokens.weight", "embedding.weight"),
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.attention.norm_in.{w}"),
    ("model.layers.{i}.self_attn.q_proj.{w}", "layers.{i}.attention.q.{w}"),
    ("model.layers.{i}.self_attn.k_proj.{w}", "layers.{i}.attention.k.{w}"),
    ("model.layers.{i}.self_attn.v_proj.{w}", "layers.{i}.attention.v.{w}"),
    ("model.layers.{i}.self_attn.o_proj.{w}", "layers.{i}.attention.out.{w}"),
    ("model.layers.{i}.post_attention_layernorm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    ("model.norm.{w}", "norm.{w}"),
    ("lm_head.{w}", "head.{w}"),
)

GATED_MLP_KEYS = (
    ("model.layers.{i}.mlp.gate_proj.{w}", "layers.{i}.mlp.gate.{w}"),
    ("model.layers.{i}.mlp.up_proj.{w}", "layers.{i}.mlp.up.{w}"),
    ("model.layers.{i}.mlp.down_proj.{w}", "layers.{i}.mlp.down.{w}"),
)

# Computed, but older files hold them.
ROTARY_TABLES = ("model.layers.{i}.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq")


def pre_norm(norm: Spec, *, attention: Spec, mlp: Spec, dropout: float = 0.0) -> Spec:
    """x + attention(norm x), then x + mlp(norm x)."""
    steps = {
        "attention": Spec(Residual, inner=attention, norm_in=norm, dropout=dropout),
        "mlp": Spec(Residual, inner=mlp, norm_in=norm, dropout=dropout),
    }
    return Spec(Chain, steps=steps)


def decoder(
    c: Config, layer: Spec, norm: Spec, dim: int, context: int, *, head: Spec = Spec(LMHead)
) -> Spec:
    """The whole model of equal layers."""
    return Spec(
        CausalLM,
        vocab=c.take("vocab_size", int),
        dim=dim,
        layers=(layer,) * c.take("num_hidden_layers", int),
        norm=norm,
        head=head,
        context=context,
    )


def write_decoder(s: Spec) -> dict[str, Any]:
    """The fields that `decoder` and the attention of most families are read from."""
    attention = at(s, "layers.0.attention").keywords
    norm, whole = at(s, "norm").keywords, s.keywords
    return {
        "attention_dropout": attention["dropout"],
        "head_dim": attention["head_dim"],
        "hidden_size": whole["dim"],
        "max_position_embeddings": whole["context"],
        "num_attention_heads": attention["heads"],
        "num_hidden_layers": len(whole["layers"]),
        "num_key_value_heads": attention["kv_heads"] or attention["heads"],
        "rms_norm_eps": norm["eps"],
        "tie_word_embeddings": bool(whole["ties"]),
        "vocab_size": whole["vocab"],
        **write_rope(at(s, "layers.0.attention.qk.0")),
    }
