"""Names that the tensors of most decoders have, in tables for a family's Keys."""

from __future__ import annotations

from blocks.hub.keys import Join, Rule, Stack

END_KEYS = (("model.embed_tokens.weight", "embedding.weight"), ("lm_head.{w}", "head.{w}"))

QKV_KEYS = (
    ("model.layers.{i}.self_attn.q_proj.{w}", "layers.{i}.attention.q.{w}"),
    ("model.layers.{i}.self_attn.k_proj.{w}", "layers.{i}.attention.k.{w}"),
    ("model.layers.{i}.self_attn.v_proj.{w}", "layers.{i}.attention.v.{w}"),
)

OUT_KEY = ("model.layers.{i}.self_attn.o_proj.{w}", "layers.{i}.attention.out.{w}")

PRE_NORM_KEYS = (
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.attention.norm_in.{w}"),
    OUT_KEY,
    ("model.layers.{i}.post_attention_layernorm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    ("model.norm.{w}", "norm.{w}"),
)

QK_NORM_KEYS = (
    ("model.layers.{i}.self_attn.q_norm.{w}", "layers.{i}.attention.qk.0.q.{w}"),
    ("model.layers.{i}.self_attn.k_norm.{w}", "layers.{i}.attention.qk.0.k.{w}"),
)

# Norms after both branches alone.
OUT_NORM_KEYS = (
    OUT_KEY,
    ("model.layers.{i}.post_attention_layernorm.{w}", "layers.{i}.attention.norm_out.{w}"),
    ("model.layers.{i}.post_feedforward_layernorm.{w}", "layers.{i}.mlp.norm_out.{w}"),
    ("model.norm.{w}", "norm.{w}"),
)

# Norms before and after both branches.
SANDWICH_KEYS = (
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.attention.norm_in.{w}"),
    OUT_KEY,
    ("model.layers.{i}.post_attention_layernorm.{w}", "layers.{i}.attention.norm_out.{w}"),
    ("model.layers.{i}.pre_feedforward_layernorm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    ("model.layers.{i}.post_feedforward_layernorm.{w}", "layers.{i}.mlp.norm_out.{w}"),
    ("model.norm.{w}", "norm.{w}"),
)

# The same by other names, and a gate on what attention finds.
GATED_SANDWICH_KEYS = (
    *SANDWICH_KEYS[:3],
    ("model.layers.{i}.self_attn.gate_proj.weight", "layers.{i}.attention.gate.weight"),
    ("model.layers.{i}.pre_mlp_layernorm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    ("model.layers.{i}.post_mlp_layernorm.{w}", "layers.{i}.mlp.norm_out.{w}"),
    SANDWICH_KEYS[-1],
)

# The commonest names; what lies in the MLP differs.
DECODER_KEYS = (*END_KEYS, *QKV_KEYS, *PRE_NORM_KEYS)


def gated_keys(theirs: str = "", ours: str = "", mlp: str = "mlp") -> tuple[tuple[str, str], ...]:
    """The names of a gated MLP, or of one at these places inside what they call `mlp`."""
    return tuple(
        (
            f"model.layers.{{i}}.{mlp}.{theirs}{part}_proj.{{w}}",
            f"layers.{{i}}.mlp.{ours}{part}.{{w}}",
        )
        for part in ("gate", "up", "down")
    )


GATED_MLP_KEYS = gated_keys()

_EXPERT = "layers.{i}.mlp.experts.{e}"


def stacked_keys(mlp: str = "mlp") -> tuple[Rule, ...]:
    """All experts in one tensor, as transformers 5 may write them, inside what they call `mlp`."""
    theirs = f"model.layers.{{i}}.{mlp}.experts."
    both = (_EXPERT + ".gate.weight", _EXPERT + ".up.weight")
    return (
        Stack(theirs + "gate_up_proj", both),
        Stack(theirs + "down_proj", (_EXPERT + ".down.weight",)),
    )


def one_by_one_keys(mlp: str = "mlp") -> tuple[tuple[str, str], ...]:
    """Each expert for itself, by the names of a gated MLP."""
    theirs, parts = f"model.layers.{{i}}.{mlp}.experts.{{e}}.", ("gate", "up", "down")
    return tuple((f"{theirs}{p}_proj.weight", f"{_EXPERT}.{p}.weight") for p in parts)


# One by one, as published files have them, by Mixtral's names and by Qwen's.
W123_KEYS = (
    ("model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight", _EXPERT + ".gate.weight"),
    ("model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight", _EXPERT + ".up.weight"),
    ("model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight", _EXPERT + ".down.weight"),
)
EXPERT_KEYS: tuple[tuple[str, str] | Rule, ...] = (
    ("model.layers.{i}.block_sparse_moe.gate.weight", "layers.{i}.mlp.router.weight"),
    ("model.layers.{i}.mlp.gate.weight", "layers.{i}.mlp.router.weight"),
    ("model.layers.{i}.mlp.router.weight", "layers.{i}.mlp.router.weight"),
    *W123_KEYS,
    *stacked_keys(),
)
ONE_BY_ONE_KEYS = one_by_one_keys()
MOE_KEYS: tuple[tuple[str, str] | Rule, ...] = (
    ("model.layers.{i}.mlp.gate.weight", "layers.{i}.mlp.router.weight"),
    *ONE_BY_ONE_KEYS,
    *stacked_keys(),
)

SHARED_EXPERT_KEYS = (
    ("model.layers.{i}.mlp.shared_expert_gate.weight", "layers.{i}.mlp.shared_gate.weight"),
    *gated_keys("shared_expert.", "shared."),
)

# Attention and MLP side by side under one norm.
PARALLEL_KEYS = (
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.norm_in.{w}"),
    OUT_KEY,
    ("model.norm.{w}", "norm.{w}"),
)

FUSED_MLP_KEYS: tuple[tuple[str, str] | Rule, ...] = (
    Join(
        "model.layers.{i}.mlp.gate_up_proj.weight",
        ("layers.{i}.mlp.gate.weight", "layers.{i}.mlp.up.weight"),
    ),
    ("model.layers.{i}.mlp.down_proj.weight", "layers.{i}.mlp.down.weight"),
)

# Computed, but older files hold them.
ROTARY_TABLES = ("model.layers.{i}.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq")
