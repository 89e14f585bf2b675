"""Nomic BERT's fields and names, of which both come in two dialects."""

from __future__ import annotations

from typing import Any

from blocks import Chain, Dropout, Full, GatedMLP, GQAttention, LayerNorm, Spec, TypeEmbedding, at
from blocks.families import _classic as classic
from blocks.families import _encoder as common
from blocks.families._decoder import layer
from blocks.families._dialects import count, read_activation, read_head_dim, read_noise
from blocks.families._names import GATED_MLP_KEYS, OUT_KEY, QKV_KEYS
from blocks.families._rope import read_rope, write_rope
from blocks.hub.config import Config
from blocks.hub.keys import Join

_ONLY = {"activation_function": "swiglu", "rotary_emb_fraction": 1.0, "scale_attn_weights": True}
_OFF = """causal last_layer_subset mlp_fc1_bias mlp_fc2_bias parallel_block parallel_block_tied_norm
prenorm qkv_proj_bias rotary_emb_interleaved scale_attn_by_inverse_layer_idx use_rms_norm"""
# How the first code computed, not what.
_SPEED = """dense_seq_output fused_bias_fc fused_dropout_add_ln reorder_and_upcast_attn
use_flash_attn use_xentropy"""


def check(c: Config) -> None:
    """Refuses what the first code could and no published model does."""
    for name, value in _ONLY.items():
        c.only(name, value)
    for name in _OFF.split():
        c.only(name, False)
    for name in ("rotary_emb_scale_base", "rotary_scaling_factor"):
        c.only(name, None)
    for name in _SPEED.split():
        c.take(name, bool, False)
    for name in ("max_trained_positions", "pad_vocab_size_multiple"):
        c.take(name, int, 1)
    read_noise(c, "embd_pdrop")


def read_rate(c: Config) -> float:
    """The rate of both branches and the stem."""
    return c.take("hidden_dropout_prob", float, 0.0, aliases=("resid_pdrop",))


def read_norm(c: Config) -> Spec:
    """The norm of all places."""
    eps = c.take("layer_norm_eps", float, 1e-12, aliases=("layer_norm_epsilon",))
    return Spec(LayerNorm, eps=eps)


def stem(c: Config, norm: Spec, rate: float) -> Spec:
    """Types are added, then normed and dropped."""
    types = Spec(TypeEmbedding, types=c.take("type_vocab_size", int, 2))
    return Spec(Chain, steps={"types": types, "norm": norm, "drop": Spec(Dropout, dropout=rate)})


def layers(c: Config, dim: int, context: int, norm: Spec) -> tuple[Spec, ...]:
    """Post-norm layers without biases, of attention that turns and a gated MLP."""
    heads = c.take("num_attention_heads", int, aliases=("n_head",))
    c.assume(rope_theta=c.take("rotary_emb_base", float, 1000.0))
    attention = Spec(
        GQAttention,
        heads=heads,
        kv_heads=heads,
        head_dim=read_head_dim(c, dim, heads),
        qk=(read_rope(c, context),),
        mask=Full(),
        dropout=c.take("attention_probs_dropout_prob", float, 0.0, aliases=("attn_pdrop",)),
    )
    hidden = c.take("intermediate_size", int, 3072, aliases=("n_inner",))
    mlp = Spec(GatedMLP, hidden=hidden, act=read_activation(c))
    each = layer(attention, mlp, norm_after=norm, dropout=read_rate(c))
    return (each,) * count(c, "num_hidden_layers", aliases=("n_layer",))


def write(s: Spec) -> dict[str, Any]:
    """The fields that all of these are read from, in the newer dialect."""
    head_dim = at(s, "layers.0.attention").keywords["head_dim"]
    return classic.write(s, common.BERT) | write_rope(s) | {"head_dim": head_dim}


_THEIRS, _OURS = "encoder.layers.{i}.", "layers.{i}."
FUSED = (Join(_THEIRS + "attn.Wqkv.weight", tuple(_OURS + f"attention.{p}.weight" for p in "qkv")),)
BODY = (
    ("emb_ln.{w}", "stem.norm.{w}"),
    (_THEIRS + "attn.out_proj.{w}", _OURS + "attention.out.{w}"),
    (_THEIRS + "norm1.{w}", _OURS + "attention.norm_after.{w}"),
    (_THEIRS + "mlp.fc11.{w}", _OURS + "mlp.up.{w}"),
    (_THEIRS + "mlp.fc12.{w}", _OURS + "mlp.gate.{w}"),
    (_THEIRS + "mlp.fc2.{w}", _OURS + "mlp.down.{w}"),
    (_THEIRS + "norm2.{w}", _OURS + "mlp.norm_after.{w}"),
    *(rule for rule in common.BODY_KEYS if rule[1].startswith(("embedding", "stem"))),
    *((t.removeprefix("model."), o) for t, o in (*QKV_KEYS, OUT_KEY, *GATED_MLP_KEYS)),
    (_OURS + "post_attention_layernorm.{w}", _OURS + "attention.norm_after.{w}"),
    (_OURS + "post_mlp_layernorm.{w}", _OURS + "mlp.norm_after.{w}"),
)
COPIES = ("cls.predictions.decoder.bias",)  # of cls.predictions.bias
NAMES: dict[str, Any] = {"body": BODY, "fused": FUSED, "ignore": COPIES}
