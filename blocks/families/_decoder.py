"""What decoder families share: parts, the stack, their fields of config.json and tensor names."""

from __future__ import annotations

from typing import Any

from blocks import (
    Causal,
    CausalLM,
    Chain,
    GatedMLP,
    GQAttention,
    LMHead,
    Mask,
    MoE,
    Residual,
    Spec,
    TokenEmbedding,
    at,
)
from blocks.families._dialects import (
    read_activation,
    read_head_dim,
    read_or_null,
    write_activation,
    write_window,
)
from blocks.families._rope import reach, write_rope
from blocks.hub.config import Config
from blocks.hub.keys import Rule, Stack

END_KEYS = (("model.embed_tokens.weight", "embedding.weight"), ("lm_head.{w}", "head.{w}"))

QKV_KEYS = (
    ("model.layers.{i}.self_attn.q_proj.{w}", "layers.{i}.attention.q.{w}"),
    ("model.layers.{i}.self_attn.k_proj.{w}", "layers.{i}.attention.k.{w}"),
    ("model.layers.{i}.self_attn.v_proj.{w}", "layers.{i}.attention.v.{w}"),
)

PRE_NORM_KEYS = (
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.attention.norm_in.{w}"),
    ("model.layers.{i}.self_attn.o_proj.{w}", "layers.{i}.attention.out.{w}"),
    ("model.layers.{i}.post_attention_layernorm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    ("model.norm.{w}", "norm.{w}"),
)

# The commonest names; what lies in the MLP differs.
DECODER_KEYS = (*END_KEYS, *QKV_KEYS, *PRE_NORM_KEYS)

GATED_MLP_KEYS = (
    ("model.layers.{i}.mlp.gate_proj.{w}", "layers.{i}.mlp.gate.{w}"),
    ("model.layers.{i}.mlp.up_proj.{w}", "layers.{i}.mlp.up.{w}"),
    ("model.layers.{i}.mlp.down_proj.{w}", "layers.{i}.mlp.down.{w}"),
)

_EXPERT = "layers.{i}.mlp.experts.{e}"

# One by one, as published files have them, and all in one tensor, as transformers 5 may write them.
EXPERT_KEYS: tuple[tuple[str, str] | Rule, ...] = (
    ("model.layers.{i}.block_sparse_moe.gate.weight", "layers.{i}.mlp.router.weight"),
    ("model.layers.{i}.mlp.gate.weight", "layers.{i}.mlp.router.weight"),
    ("model.layers.{i}.mlp.router.weight", "layers.{i}.mlp.router.weight"),
    ("model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight", _EXPERT + ".gate.weight"),
    ("model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight", _EXPERT + ".up.weight"),
    ("model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight", _EXPERT + ".down.weight"),
    Stack(
        "model.layers.{i}.mlp.experts.gate_up_proj",
        (_EXPERT + ".gate.weight", _EXPERT + ".up.weight"),
    ),
    Stack("model.layers.{i}.mlp.experts.down_proj", (_EXPERT + ".down.weight",)),
)

# Computed, but older files hold them.
ROTARY_TABLES = ("model.layers.{i}.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq")

_MOST = 10_000  # layers, or experts of one: beyond it a config is wrong, and building takes forever


def _count(c: Config, name: str, default: int | None = None) -> int:
    count = c.take(name, int) if default is None else c.take(name, int, default)
    if count > _MOST:
        raise c.error(name, f"{count} is more than {_MOST}")
    return count


def attention(
    c: Config,
    dim: int,
    *qk: Spec,
    bias: bool = False,
    kv_heads: int | None = None,
    mask: Mask = Causal(),  # noqa: B008  # frozen
) -> Spec:
    """Attention with one answer for all four biases.

    Args:
        c: the reader.
        dim: the model's width.
        *qk: what happens to queries and keys, RoPE last.
        bias: biases on all projections.
        kv_heads: what a config means that doesn't say them; None is as many as heads.
        mask: which keys a query sees.
    """
    heads = c.take("num_attention_heads", int)
    return Spec(
        GQAttention,
        heads=heads,
        kv_heads=read_or_null(c, "num_key_value_heads", kv_heads) or heads,
        head_dim=read_head_dim(c, dim, heads),
        bias=bias,
        out_bias=bias,
        qk=qk,
        mask=mask,
        dropout=c.take("attention_dropout", float, 0.0),
    )


def gated_mlp(c: Config, *, bias: bool = False) -> Spec:
    """The MLP of `intermediate_size` and `hidden_act`."""
    hidden = c.take("intermediate_size", int)
    return Spec(GatedMLP, hidden=hidden, act=read_activation(c), bias=bias)


def moe(c: Config, router: Spec, experts: int) -> Spec:
    """Experts of `gated_mlp`; `experts` is what a config means that doesn't count them."""
    return Spec(
        MoE,
        experts=_count(c, "num_local_experts", experts),
        top_k=c.take("num_experts_per_tok", int, 2),
        expert=gated_mlp(c),
        router=router,
    )


def pre_norm(norm: Spec, attention: Spec, mlp: Spec, *, dropout: float = 0.0) -> Spec:
    """x + attention(norm x), then x + mlp(norm x)."""
    steps = {
        "attention": Spec(Residual, inner=attention, norm_in=norm, dropout=dropout),
        "mlp": Spec(Residual, inner=mlp, norm_in=norm, dropout=dropout),
    }
    return Spec(Chain, steps=steps)


def decoder(
    c: Config,
    layer: Spec,
    norm: Spec,
    dim: int,
    context: int,
    *,
    embedding: Spec = Spec(TokenEmbedding),  # noqa: B008  # frozen
    head: Spec = Spec(LMHead),  # noqa: B008  # frozen
) -> Spec:
    """The whole model of equal layers."""
    return Spec(
        CausalLM,
        vocab=c.take("vocab_size", int),
        dim=dim,
        layers=(layer,) * _count(c, "num_hidden_layers"),
        norm=norm,
        embedding=embedding,
        head=head,
        context=reach(layer, context),
    )


def write_decoder(s: Spec, *, eps: str = "rms_norm_eps", mscales: bool = False) -> dict[str, Any]:
    """The fields that `decoder` and `attention` are read from, in the dialect all readers know.

    Args:
        s: the model.
        eps: the field of the norm's eps.
        mscales: whether the family writes LongRoPE's magnitudes out.
    """
    attention, whole = at(s, "layers.0.attention").keywords, s.keywords
    heads, head_dim = attention["heads"], attention["head_dim"]
    fields = {
        "attention_dropout": attention["dropout"],
        "hidden_size": whole["dim"],
        "max_position_embeddings": whole["context"],
        "num_attention_heads": heads,
        "num_hidden_layers": len(whole["layers"]),
        "num_key_value_heads": attention["kv_heads"] or heads,
        "tie_word_embeddings": bool(whole["ties"]),
        "vocab_size": whole["vocab"],
        eps: at(s, "norm").keywords["eps"],
        **write_rope(attention["qk"][-1], whole["context"], mscales=mscales),
    }
    return fields if head_dim * heads == whole["dim"] else fields | {"head_dim": head_dim}


def write_mlp(mlp: Spec) -> dict[str, Any]:
    """The fields that a plain or gated MLP is read from."""
    return {
        "hidden_act": write_activation(mlp.keywords["act"]),
        "intermediate_size": mlp.keywords["hidden"],
    }


def write_moe(s: Spec) -> dict[str, Any]:
    """The fields that `moe` is read from."""
    moe = at(s, "layers.0.mlp").keywords
    return {
        "num_local_experts": moe["experts"],
        "num_experts_per_tok": moe["top_k"],
        **write_mlp(moe["expert"]),
    }


def write_mask(s: Spec) -> dict[str, Any]:
    """The field that `read_window` is read from."""
    return {"sliding_window": write_window(at(s, "layers.0.attention").keywords["mask"])}
