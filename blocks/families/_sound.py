"""What families that hear share: fields of training and of other tasks."""

from __future__ import annotations

from typing import Any

from blocks import (
    ConvStem,
    Full,
    GQAttention,
    LayerNorm,
    RelativeAttention,
    Spec,
    TimeNorm,
    TurnedAttention,
    at,
)
from blocks.families._dialects import read_activation, read_noise, write_activation
from blocks.hub.config import Config

# Masked spans are of training; projections and weighted sums of heads that classify sounds.
_INTS = """classifier_proj_size mask_feature_length mask_feature_min_masks mask_time_length
mask_time_min_masks""".split()
_FLAGS = ("apply_spec_augment", "use_weighted_layer_sum")


def read_training(c: Config) -> None:
    """Fields that change no answer: checked, and of no use here."""
    for name in _INTS:
        c.take(name, int, 1, low=0)
    for name in _FLAGS:
        c.take(name, bool, False)
    for name in ("mask_feature_prob", "mask_time_prob"):
        read_noise(c, name)


# Fields of pretraining, of other heads and of layers that are not there: type -> names.
_OF_OTHERS: dict[Any, tuple[str, ...]] = {
    int: (
        *("adapter_kernel_size", "adapter_stride", "codevector_dim", "num_adapter_layers"),
        *("num_codevector_groups", "num_codevectors_per_group", "num_negatives"),
        *("max_source_positions", "output_hidden_size", "proj_codevector_dim"),
        *("num_conv_pos_embedding_groups", "num_conv_pos_embeddings", "xvector_output_dim"),
    ),
    tuple[int, ...]: ("tdnn_dilation", "tdnn_dim", "tdnn_kernel"),
    bool: ("ctc_zero_infinity",),
    str: ("ctc_loss_reduction",),
}
_NOISE = (
    *("feat_extract_dropout", "feat_proj_dropout", "feat_quantizer_dropout", "final_dropout"),
    "hidden_dropout_prob",
)


def read_wav2vec2(c: Config) -> None:
    """Fields of wav2vec 2.0 that change no answer of a CTC head."""
    read_training(c)
    for kind, names in _OF_OTHERS.items():
        for name in names:
            c.take(name, kind, None)
    for name in (*_NOISE, "layerdrop"):
        read_noise(c, name)
    for name in ("contrastive_logits_temperature", "diversity_loss_weight"):
        if c.take(name, float, 0.0) < 0:
            raise c.error(name, "is below zero")
    c.only("add_adapter", False)


def stem(c: Config) -> dict[str, Any]:
    """The convolutions over the samples, and their width."""
    sizes = {name: c.take(f"conv_{name}", tuple[int, ...], value) for name, value in _CONVS.items()}
    for name in ("kernel", "stride"):
        if len(sizes[name]) != len(sizes["dim"]):
            raise c.error(f"conv_{name}", f"has not the length of conv_dim {len(sizes['dim'])}")
    if not sizes["dim"]:
        raise c.error("conv_dim", "names no convolution")
    depth = c.take("num_feat_extract_layers", int, len(sizes["dim"]))
    if depth != len(sizes["dim"]):
        raise c.error("num_feat_extract_layers", f"is {depth}, conv_dim has {len(sizes['dim'])}")
    kind = c.take("feat_extract_norm", str, "group")
    if kind not in ("group", "layer"):
        raise c.error("feat_extract_norm", f"{kind!r} is neither group nor layer")
    convs = Spec(
        ConvStem,
        kernels=sizes["kernel"],
        strides=sizes["stride"],
        between=sizes["dim"][:-1],
        padded=False,
        norm=Spec(TimeNorm if kind == "group" else LayerNorm),
        normed="first" if kind == "group" else "all",
        act=read_activation(c, "feat_extract_activation", "gelu"),
        bias=c.take("conv_bias", bool, False),
    )
    return {"embedding": convs, "width": sizes["dim"][-1]}


_CONVS = {
    "dim": (512,) * 7,
    "kernel": (10, 3, 3, 3, 3, 2, 2),
    "stride": (5, 2, 2, 2, 2, 2, 2),
}


def write_stem(s: Spec) -> dict[str, Any]:
    """The fields that `stem` is read from."""
    convs = at(s, "embedding").keywords
    return {
        "conv_bias": convs["bias"],
        "conv_dim": [*convs["between"], s.keywords["width"]],
        "conv_kernel": list(convs["kernels"]),
        "conv_stride": list(convs["strides"]),
        "feat_extract_activation": write_activation(convs["act"]),
        "feat_extract_norm": "group" if convs["norm"].func is TimeNorm else "layer",
        "num_feat_extract_layers": len(convs["kernels"]),
    }


def attention(c: Config, kind: str | None, dim: int, heads: int, rate: float) -> Spec:
    """Attention with the kind of positions that wav2vec 2.0's Conformer is given."""
    if dim % heads:
        raise c.error("num_attention_heads", f"{heads} heads don't divide hidden_size {dim}")
    both: dict[str, Any] = {"heads": heads, "bias": True, "mask": Full(), "dropout": rate}
    theta = c.take("rotary_embedding_base", int, 10_000)
    if kind == "relative":
        return Spec(RelativeAttention, layout="interleaved", **both)
    if kind == "rotary":
        return Spec(TurnedAttention, theta=float(theta), **both)
    if kind is None:
        return Spec(GQAttention, out_bias=True, kv_heads=heads, head_dim=dim // heads, **both)
    raise c.error("position_embeddings_type", f"{kind!r} is not known", "relative, rotary or null")


def write_attention(s: Spec) -> dict[str, Any]:
    """The fields that `attention` is read from."""
    block = at(s, "layers.0.attention")
    kinds = {RelativeAttention: "relative", TurnedAttention: "rotary", GQAttention: None}
    return {
        "num_attention_heads": block.keywords["heads"],
        "position_embeddings_type": kinds[block.func],
        "rotary_embedding_base": int(block.keywords.get("theta", 10_000)),
    }
