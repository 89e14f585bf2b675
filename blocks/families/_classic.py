"""What the decoders of the GPT line share: plain MLPs, learnt positions, fused q, k and v."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks import (
    MLP,
    Chain,
    GQAttention,
    LearnedPositions,
    Normed,
    Parallel,
    Residual,
    RoPE,
    Spec,
    at,
    replace,
    walk,
)
from blocks.families._dialects import read_activation, write_activation
from blocks.hub.config import REQUIRED, Config
from blocks.hub.keys import Join, Keys, Rule

QKV = tuple(f"layers.{{i}}.attention.{part}.{{w}}" for part in "qkv")

# What this line of models calls the fields that `write` knows.
GPT = {
    "activation": "activation_function",
    "attention_dropout": "attn_pdrop",
    "context": "n_positions",
    "depth": "n_layer",
    "dim": "n_embd",
    "dropout": "resid_pdrop",
    "embedding_dropout": "embd_pdrop",
    "eps": "layer_norm_epsilon",
    "heads": "n_head",
    "hidden": "n_inner",
}
LLAMA = {
    "activation": "hidden_act",
    "attention_dropout": "attention_dropout",
    "context": "max_position_embeddings",
    "depth": "num_hidden_layers",
    "dim": "hidden_size",
    "dropout": "hidden_dropout",
    "eps": "layer_norm_eps",
    "heads": "num_attention_heads",
    "hidden": "intermediate_size",
}


def megatron(layer: str, s: Spec, attention: str = "self_attention") -> tuple[Any, ...]:
    """The names that Megatron gave the parts of a layer."""
    return (
        (layer + "input_layernorm.{w}", "layers.{i}.attention.norm_in.{w}"),
        fused(f"{layer}{attention}.query_key_value.{{w}}", s),
        (f"{layer}{attention}.dense.{{w}}", "layers.{i}.attention.out.{w}"),
        (layer + "post_attention_layernorm.{w}", "layers.{i}.mlp.norm_in.{w}"),
        (layer + "mlp.dense_h_to_4h.{w}", "layers.{i}.mlp.up.{w}"),
        (layer + "mlp.dense_4h_to_h.{w}", "layers.{i}.mlp.down.{w}"),
    )


def gpt2_keys(attention: str, *qkv: Rule | tuple[str, str], out: str = "c_proj") -> Keys:
    """The table of GPT-2's names but those of q, k and v, for matrices that are not transposed."""
    return Keys(
        ("transformer.wte.weight", "embedding.weight"),
        ("lm_head.weight", "head.weight"),
        ("transformer.wpe.weight", "stem.weight"),
        ("transformer.h.{i}.ln_1.{w}", "layers.{i}.attention.norm_in.{w}"),
        *qkv,
        (f"{attention}{out}.{{w}}", "layers.{i}.attention.out.{w}"),
        ("transformer.h.{i}.ln_2.{w}", "layers.{i}.mlp.norm_in.{w}"),
        ("transformer.h.{i}.mlp.c_fc.{w}", "layers.{i}.mlp.up.{w}"),
        ("transformer.h.{i}.mlp.c_proj.{w}", "layers.{i}.mlp.down.{w}"),
        ("transformer.ln_f.{w}", "norm.{w}"),
        ignore=(attention + "bias", attention + "masked_bias"),
        optional="transformer.",
    )


def apart_qkv(attention: str) -> list[tuple[str, str]]:
    """The names of projections that are not fused."""
    return [(f"{attention}{p}_proj.{{w}}", f"layers.{{i}}.attention.{p}.{{w}}") for p in "qkv"]


def fairseq(prefix: str, last: str, head: str = "lm_head") -> tuple[tuple[str, str], ...]:
    """The names that fairseq gave a decoder; `last` is the last norm's, `head` the head's."""
    layer, ours = prefix + "layers.{i}.", "layers.{i}."
    norms = [
        (layer + "self_attn_layer_norm.{w}", "attention"),
        (layer + "final_layer_norm.{w}", "mlp"),
    ]
    return (
        (prefix + "embed_tokens.weight", "embedding.weight"),
        (head + ".weight", "head.weight"),
        *apart_qkv(layer + "self_attn."),
        (layer + "self_attn.out_proj.{w}", ours + "attention.out.{w}"),
        (layer + "fc1.{w}", ours + "mlp.up.{w}"),
        (layer + "fc2.{w}", ours + "mlp.down.{w}"),
        *((norm, f"{ours}{part}.norm_in.{{w}}") for norm, part in norms),
        *((norm, f"{ours}{part}.norm_after.{{w}}") for norm, part in norms),
        (f"{prefix}{last}.{{w}}", "norm.{w}"),
    )


def fused(theirs: str, s: Spec) -> Join:
    """The rule of a tensor that holds q, k and v of each key head in turn."""
    return Join(theirs, QKV, groups=at(s, "layers.0.attention").keywords["kv_heads"])


def attention(
    c: Config,
    dim: int,
    *,
    names: Mapping[str, str] = GPT,
    aliases: Sequence[str] = (),
    rate: float = 0.0,
    kv_heads: int | None = None,
    bias: bool = True,
    out_bias: bool | None = None,
    **options: Any,
) -> Spec:
    """Attention whose heads share the width among them.

    Args:
        c: the reader.
        dim: the model's width.
        names: of the fields.
        aliases: other names of the heads' field.
        rate: the dropout that a config means that says none.
        kv_heads: as many as heads where None.
        bias: biases on all projections; `out_bias` overrides it for the last.
        out_bias: None is as the others.
        **options: of the block.
    """
    heads = c.take(names["heads"], int, aliases=aliases)
    if dim % heads:
        raise c.error(names["heads"], f"{heads} heads don't divide the width {dim}")
    return Spec(
        GQAttention,
        heads=heads,
        kv_heads=kv_heads or heads,
        head_dim=dim // heads,
        bias=bias,
        out_bias=bias if out_bias is None else out_bias,
        dropout=c.take(names["attention_dropout"], float, rate),
        **options,
    )


def mlp(
    c: Config,
    hidden: int | None = None,
    *,
    names: Mapping[str, str] = GPT,
    act: str = "gelu_new",
    bias: bool = True,
    dropout: float = 0.0,
) -> Spec:
    """The plain MLP; `hidden` is its width where a config may leave it out."""
    size: int = c.take(names["hidden"], int, REQUIRED if hidden is None else hidden)
    kind = read_activation(c, names["activation"], act)
    return Spec(MLP, hidden=size, act=kind, bias=bias, dropout=dropout)


def learned(rows: int, *, offset: int = 0, dropout: float = 0.0) -> Spec:
    """Positions from a table that has `offset` more rows than there are positions."""
    return Spec(LearnedPositions, rows=rows + offset, offset=offset, dropout=dropout)


def parallel(norm: Spec, attention: Spec, mlp: Spec, *, dropout: float = 0.0) -> Spec:
    """x + attention(norm x) + mlp(norm x) with one norm for both."""
    both = Spec(Parallel, branches={"attention": attention, "mlp": mlp})
    return Spec(Residual, inner=both, norm_in=norm, dropout=dropout)


def apart(norm: Spec, attention: Spec, mlp: Spec, *, dropout: float = 0.0) -> Spec:
    """x + attention(norm_1 x) + mlp(norm_2 x)."""
    branches = {"attention": attention, "mlp": mlp}
    each = {name: Spec(Normed, inner=part, norm_in=norm) for name, part in branches.items()}
    return Spec(Residual, inner=Spec(Parallel, branches=each), dropout=dropout)


def after_norms(norm: Spec, attention: Spec, mlp: Spec, *, dropout: float = 0.0) -> Spec:
    """y = norm_1 x; z = norm_2 (y + attention y); z + mlp z: what is skipped is normed as well."""
    steps: dict[str, Spec] = {}
    for name, inner in (("attention", attention), ("mlp", mlp)):
        steps |= {f"{name}_norm": norm, name: Spec(Residual, inner=inner, dropout=dropout)}
    return Spec(Chain, steps=steps)


def after_norm_keys(layer: str) -> tuple[tuple[str, str], ...]:
    """What Megatron calls those norms."""
    return (
        (layer + "input_layernorm.{w}", "layers.{i}.attention_norm.{w}"),
        (layer + "post_attention_layernorm.{w}", "layers.{i}.mlp_norm.{w}"),
    )


def turned(c: Config, attention: Spec) -> Spec:
    """With RoPE on `rotary_dim` channels, neighbours turning together; its base is fixed."""
    width, dims = attention.keywords["head_dim"], c.take("rotary_dim", int, 64)
    exact = dims / width
    share = exact if int(width * exact) == dims else (dims + 0.5) / width
    return replace(attention, qk=(Spec(RoPE, rotated=share, pairing="adjacent"),))


def write_turned(s: Spec) -> dict[str, int]:
    """The field that `turned` is read from."""
    attention = at(s, "layers.0.attention").keywords
    return {"rotary_dim": int(attention["head_dim"] * attention["qk"][0].keywords["rotated"])}


def write(s: Spec, names: Mapping[str, str], without: str = "") -> dict[str, Any]:
    """The fields under a family's names of them; what it has no name for is left out."""
    attention, mlp = at(s, "layers.0.attention").keywords, at(s, "layers.0.mlp").keywords
    whole, layer = s.keywords, s.keywords["layers"][0]
    residual = layer.keywords["steps"]["mlp"] if layer.func is Chain else layer
    first = whole["embedding" if whole["stem"] is None else "stem"].keywords
    said = {
        "activation": write_activation(mlp["act"]),
        "attention_dropout": attention["dropout"],
        "context": whole["context"],
        "depth": len(whole["layers"]),
        "dim": whole["dim"],
        "dropout": residual.keywords["dropout"],
        "embedding_dropout": first.get("dropout", 0.0),
        "eps": next(part.keywords["eps"] for _, part in walk(s) if "eps" in part.keywords),
        "heads": attention["heads"],
        "hidden": mlp["hidden"],
    }
    fields = {name: said[what] for what, name in names.items() if what != without}
    tied = bool(whole["ties"])
    return fields | {"tie_word_embeddings": tied, "vocab_size": whole["vocab"]}
