"""What decoder families share: parts, the stack, their fields of config.json and tensor names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks import (
    Activation,
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
    count,
    parts,
    read_activation,
    read_head_dim,
    read_or_null,
    write_activation,
    write_window,
)
from blocks.families._names import (  # noqa: F401  # families read the tables from here
    DECODER_KEYS,
    END_KEYS,
    EXPERT_KEYS,
    FUSED_MLP_KEYS,
    GATED_MLP_KEYS,
    GATED_SANDWICH_KEYS,
    MOE_KEYS,
    ONE_BY_ONE_KEYS,
    OUT_KEY,
    OUT_NORM_KEYS,
    PARALLEL_KEYS,
    PRE_NORM_KEYS,
    QK_NORM_KEYS,
    QKV_KEYS,
    ROTARY_TABLES,
    SANDWICH_KEYS,
    SHARED_EXPERT_KEYS,
    W123_KEYS,
    gated_keys,
    one_by_one_keys,
    stacked_keys,
)
from blocks.families._rope import reach, write_rope
from blocks.hub.config import REQUIRED, Config

# Other names of `num_local_experts` and `num_experts_per_tok`.
_EXPERTS, _TOP_K = ("num_experts", "n_routed_experts", "moe_num_experts"), ("moe_k", "moe_topk")


def attention(
    c: Config,
    dim: int,
    *qk: Spec,
    bias: bool = False,
    out_bias: bool | None = None,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    dropout: float = 0.0,
    mask: Mask = Causal(),  # noqa: B008  # frozen
    **options: Any,
) -> Spec:
    """Attention of the fields that all decoders have.

    Args:
        c: the reader.
        dim: the model's width.
        *qk: what happens to queries and keys, RoPE last.
        bias: biases on the projections.
        out_bias: a bias on the last of them, where that is another answer.
        kv_heads: what a config means that doesn't say them; None is as many as heads.
        head_dim: the same; None is dim / heads.
        dropout: the same.
        mask: which keys a query sees.
        **options: what else the family decides.
    """
    heads = c.take("num_attention_heads", int)
    return Spec(
        GQAttention,
        heads=heads,
        kv_heads=read_or_null(c, "num_key_value_heads", kv_heads) or heads,
        head_dim=read_head_dim(c, dim, heads, head_dim),
        bias=bias,
        out_bias=bias if out_bias is None else out_bias,
        qk=qk,
        mask=mask,
        dropout=c.take("attention_dropout", float, dropout),
        **options,
    )


def gated_mlp(
    c: Config,
    *,
    bias: bool = False,
    act: Activation | None = None,
    size: str = "intermediate_size",
    hidden: int = REQUIRED,
) -> Spec:
    """The gated MLP.

    Args:
        c: the reader.
        bias: biases on its projections.
        act: an activation that the family decides; None is that of `hidden_act`.
        size: the field of its size.
        hidden: what a config means that doesn't say the size.
    """
    chosen = read_activation(c) if act is None else act
    return Spec(GatedMLP, hidden=c.take(size, int, hidden), act=chosen, bias=bias)


def moe(
    c: Config,
    router: Spec,
    experts: int,
    *,
    top_k: int = 2,
    size: str = "intermediate_size",
    hidden: int = REQUIRED,
    **options: Any,
) -> Spec:
    """Experts of `gated_mlp`.

    Args:
        c: the reader.
        router: slot of what chooses among them.
        experts: what a config means that doesn't count them.
        top_k: the same of how many a token goes to.
        size: the field of their size.
        hidden: what a config means that doesn't say it.
        **options: what else the family decides.
    """
    return Spec(
        MoE,
        experts=count(c, "num_local_experts", experts, aliases=_EXPERTS),
        top_k=c.take("num_experts_per_tok", int, top_k, aliases=_TOP_K),
        expert=gated_mlp(c, size=size, hidden=hidden),
        router=router,
        **options,
    )


def layer(attention: Spec, mlp: Spec, first: str = "attention", /, **around: Any) -> Spec:
    """Attention, then the MLP, each with the same `around` it: norms, a scale, a dropout.

    A `first` of another name than attention is a mixer of another kind.
    """
    steps = {first: attention, "mlp": mlp}
    return Spec(
        Chain,
        steps={name: Spec(Residual, inner=inner, **around) for name, inner in steps.items()},
    )


def pre_norm(
    norm: Spec, attention: Spec, mlp: Spec, first: str = "attention", /, **around: Any
) -> Spec:
    """x + attention(norm x), then x + mlp(norm x)."""
    return layer(attention, mlp, first, norm_in=norm, **around)


def pre_norms(norm: Spec, attention: Spec, mlps: Sequence[Spec]) -> tuple[Spec, ...]:
    """The same for each of many layers, whose MLPs are of a few kinds."""
    kinds = {mlp: pre_norm(norm, attention, mlp) for mlp in set(mlps)}
    return tuple(kinds[mlp] for mlp in mlps)


def decoder(
    c: Config,
    layers: Spec | tuple[Spec, ...],
    norm: Spec | None,
    dim: int,
    context: int | None,
    *,
    embedding: Spec = Spec(TokenEmbedding),  # noqa: B008  # frozen
    stem: Spec | None = None,
    head: Spec = Spec(LMHead),  # noqa: B008  # frozen
) -> Spec:
    """The whole model: of equal layers, or of those that are given one by one."""
    if isinstance(layers, Spec):
        layers = (layers,) * count(c, "num_hidden_layers")
    return Spec(
        CausalLM,
        vocab=c.take("vocab_size", int),
        dim=dim,
        layers=layers,
        norm=norm,
        embedding=embedding,
        stem=stem,
        head=head,
        context=None if context is None else reach(layers, context),
    )


def write_decoder(
    s: Spec,
    *,
    eps: str | None = "rms_norm_eps",
    mscales: bool = False,
    head_dim: bool = False,
    rope: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The fields that `decoder` and `attention` are read from, in the dialect all readers know.

    Args:
        s: the model.
        eps: the field of the norm's eps; None where it is fixed.
        mscales: whether the family writes LongRoPE's magnitudes out.
        head_dim: whether the family's heads are of a width of their own, which is always said.
        rope: the fields of its RoPE, where there are others than `read_rope` reads.
    """
    attention, whole = parts(s.keywords["layers"], "attention")[0].keywords, s.keywords
    heads, width = attention["heads"], attention["head_dim"]
    fields = {
        "attention_dropout": attention["dropout"],
        "hidden_size": whole["dim"],
        "max_position_embeddings": whole["context"],
        "num_attention_heads": heads,
        "num_hidden_layers": len(whole["layers"]),
        "num_key_value_heads": attention["kv_heads"] or heads,
        "tie_word_embeddings": bool(whole["ties"]),
        "vocab_size": whole["vocab"],
        **({} if eps is None else {eps: at(s, "norm").keywords["eps"]}),
        **(write_rope(s, mscales=mscales) if rope is None else rope),
    }
    said = head_dim or width * heads != whole["dim"]
    return fields | {"head_dim": width} if said else fields


def write_mlp(
    mlp: Spec,
    *,
    act: str = "hidden_act",
    tanh: str = "gelu_new",
    size: str = "intermediate_size",
) -> dict[str, Any]:
    """The fields that a plain or gated MLP is read from.

    Args:
        mlp: the MLP.
        act: the field of the activation.
        tanh: what the family calls the tanh form of gelu.
        size: the field of its size.
    """
    ours = mlp.keywords["act"]
    return {
        act: tanh if ours == "gelu_tanh" else write_activation(ours),
        size: mlp.keywords["hidden"],
    }


def write_moe(
    moe: Spec,
    *,
    experts: str = "num_local_experts",
    top_k: str = "num_experts_per_tok",
    size: str = "intermediate_size",
) -> dict[str, Any]:
    """The fields that `moe` is read from; `experts`, `top_k` and `size` are their names."""
    options = moe.keywords
    counts = {experts: options["experts"], top_k: options["top_k"]}
    return counts | write_mlp(options["expert"], size=size)


def write_mask(s: Spec) -> dict[str, Any]:
    """The field that `read_window` is read from."""
    return {"sliding_window": write_window(at(s, "layers.0.attention").keywords["mask"])}
