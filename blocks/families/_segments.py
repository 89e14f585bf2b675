"""What Transformer-XL's family is made of beside its fields: layers, names, what may be shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks import MLP, Chain, RelativeAttention, Residual, Spec, at
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.keys import Join, Keys

_BIASES = {"content_bias": "r_w_bias", "position_bias": "r_r_bias"}

# A file says by what it leaves out which of these it shares, whatever its flags are.
TIES = (
    *((f"head.tables.{i}", f"embedding.tables.{i}") for i in range(16)),
    *((f"head.projections.{i}", f"embedding.projections.{j}") for i in range(16) for j in (i, 0)),
    *(
        (f"layers.{i}.attention.{bias}", f"layers.0.attention.{bias}")
        for bias in _BIASES
        for i in range(1, 128)
    ),
)


def check(c: Config) -> None:
    """Reads what has one value alone, what starts training, and flags of what is shared."""
    if c.take("attn_type", int, 0, low=0):
        raise c.error("attn_type", "must be 0: relative positions")
    c.only("adaptive", True)
    if c.take("sample_softmax", int, -1, low=-1) > 0:
        raise c.error("sample_softmax", "must be -1: no tokens are sampled")
    c.take("init", str, "normal")
    for name in ("init_range", "proj_init_std"):
        c.take(name, float, 0.01)
    for name in ("proj_share_all_but_first", "tie_weight", "trainer_compatible", "untie_r"):
        c.take(name, bool, True)
    c.take("tie_projs", tuple[bool, ...], None)


def layers(
    c: Config, norm: Spec, pre: bool, options: Mapping[str, Any], dropout: float
) -> tuple[Spec, ...]:
    """Attention, then an MLP, their norms before or after each."""
    inner = Spec(MLP, hidden=c.take("d_inner", int), act="relu", dropout=dropout)
    # A norm before attention is its own part, since it reads the memory too.
    attention = Spec(RelativeAttention, norm_in=norm if pre else None, **options)
    after, dropped = None if pre else norm, {"dropout": dropout}
    steps = {
        "attention": Spec(Residual, inner=attention, norm_after=after, **dropped),
        "mlp": Spec(
            Residual, inner=inner, norm_in=norm if pre else None, norm_after=after, **dropped
        ),
    }
    return (Spec(Chain, steps=steps),) * count(c, "n_layer")


def write(s: Spec) -> dict[str, Any]:
    """The fields that `layers` is read from, those of sizes, and those of what is shared."""
    attention, mlp = at(s, "layers.0.attention").keywords, at(s, "layers.0.mlp").keywords
    shared = {place for place, _ in s.keywords["ties"]}
    residual = s.keywords["layers"][0].keywords["steps"]["mlp"].keywords
    projections = len(at(s, "head").keywords["cutoffs"]) + 1
    return {
        "d_head": attention["head_dim"],
        "d_inner": mlp["hidden"],
        "d_model": s.keywords["dim"],
        "layer_norm_epsilon": (residual["norm_in"] or residual["norm_after"]).keywords["eps"],
        "n_head": attention["heads"],
        "n_layer": len(s.keywords["layers"]),
        "tie_projs": [f"head.projections.{i}" in shared for i in range(projections)],
        "tie_word_embeddings": "head.tables.0" in shared,
        "untie_r": "layers.1.attention.content_bias" not in shared,
        "vocab_size": s.keywords["vocab"],
    }


def keys(s: Spec) -> Keys:
    """The table of names; biases that all layers share have one name."""
    theirs, ours = "transformer.layers.{i}.", "layers.{i}."
    attention, mlp = theirs + "dec_attn.", theirs + "pos_ff."
    each = [(f"{attention}{b}", f"{ours}attention.{a}") for a, b in _BIASES.items()]
    shared = [(f"transformer.{b}", f"layers.0.attention.{a}") for a, b in _BIASES.items()]
    one = "layers.1.attention.content_bias" in {place for place, _ in s.keywords["ties"]}
    return Keys(
        ("transformer.word_emb.emb_layers.{i}.weight", "embedding.tables.{i}"),
        ("transformer.word_emb.emb_projs.{i}", "embedding.projections.{i}"),
        ("crit.out_layers.{i}.weight", "head.tables.{i}"),
        ("crit.out_layers.{i}.bias", "head.biases.{i}"),
        ("crit.out_projs.{i}", "head.projections.{i}"),
        ("crit.cluster_weight", "head.choice.weight"),
        ("crit.cluster_bias", "head.choice.bias"),
        *(shared + each if one else each + shared),
        Join(attention + "qkv_net.weight", tuple(f"{ours}attention.{p}.weight" for p in "qkv")),
        (attention + "r_net.weight", ours + "attention.position.weight"),
        (attention + "o_net.weight", ours + "attention.out.weight"),
        (attention + "layer_norm.{w}", ours + "attention.norm_after.{w}"),
        (attention + "layer_norm.{w}", ours + "attention.norm_in.{w}"),
        (mlp + "CoreNet.0.{w}", ours + "mlp.up.{w}"),
        (mlp + "CoreNet.3.{w}", ours + "mlp.down.{w}"),
        (mlp + "layer_norm.{w}", ours + "mlp.norm_after.{w}"),
        (mlp + "layer_norm.{w}", ours + "mlp.norm_in.{w}"),
        ignore=("transformer.pos_emb.inv_freq", *(f"transformer.{b}" for b in _BIASES.values())),
        optional="transformer.",
    )
