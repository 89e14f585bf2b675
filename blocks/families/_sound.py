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
from blocks.families._conformer import counted, layer_keys
from blocks.families._dialects import read_activation, read_noise, write_activation
from blocks.hub.config import Config
from blocks.hub.keys import Keys

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


_LAYER = {
    "mlp_before": "ffn1",
    "mlp_before.norm_in": "ffn1_layer_norm",
    "mlp": "ffn2",
    "mlp.norm_in": "ffn2_layer_norm",
    "norm_after": "final_layer_norm",
    "up": "intermediate_dense",
    "down": "output_dense",
    "attention": "self_attn",
    "attention.norm_in": "self_attn_layer_norm",
    "attention.q": "linear_q",
    "attention.k": "linear_k",
    "attention.v": "linear_v",
    "attention.out": "linear_out",
    "attention.position": "linear_pos",
    "attention.content_bias": "pos_bias_u",
    "attention.position_bias": "pos_bias_v",
    "conv": "conv_module",
    "conv.norm_in": "conv_module.layer_norm",
    "conv.up": "pointwise_conv1",
    "conv.mix": "depthwise_conv",
    "conv.norm": "batch_norm",
    "conv.down": "pointwise_conv2",
}


def conformer_keys(prefix: str) -> Keys:
    """The names of wav2vec 2.0's Conformer."""
    layers = prefix + "encoder.layers.{i}."
    position = prefix + "encoder.pos_conv_embed.conv."  # there, and used by no Conformer
    unused = [position + part for part in ("bias", "weight", "weight_g", "weight_v")]
    unused += [f"{position}parametrizations.weight.original{n}" for n in (0, 1)]
    return Keys(
        *layer_keys(layers, _LAYER),
        *_ends(prefix),
        (prefix + "encoder.layer_norm.{w}", "norm.{w}"),
        ignore=(
            *unused,
            counted(layers, _LAYER),
            prefix + "masked_spec_embed",
            prefix + "encoder.embed_positions.inv_freq",
        ),
    )


def _ends(prefix: str) -> tuple[tuple[str, str], ...]:
    """The names of what stands before the layers and after them."""
    convs = prefix + "feature_extractor.conv_layers.{i}."
    return (
        (convs + "conv.{w}", "embedding.convs.{i}.{w}"),
        (convs + "layer_norm.{w}", "embedding.norms.{i}.{w}"),
        (prefix + "feature_projection.layer_norm.{w}", "stem.{w}"),
        (prefix + "feature_projection.projection.{w}", "widen.{w}"),
        ("lm_head.{w}", "head.{w}"),
    )


def transformer_keys(s: Spec) -> Keys:
    """The names of wav2vec 2.0, the newer spelling of the convolved positions' weight first."""
    prefix, ours = "wav2vec2.encoder.", "layers.{i}."
    layers, conv = prefix + "layers.{i}.", prefix + "pos_conv_embed.conv."
    last = "positions.norm" if s.keywords["norm"] is None else "norm"
    where = "norm_after" if s.keywords["norm"] is None else "norm_in"
    return Keys(
        *_ends("wav2vec2."),
        (conv + "parametrizations.weight.original0", "positions.around.gain"),
        (conv + "parametrizations.weight.original1", "positions.around.weight"),
        (conv + "weight_g", "positions.around.gain"),
        (conv + "weight_v", "positions.around.weight"),
        (conv + "bias", "positions.around.bias"),
        (prefix + "layer_norm.{w}", last + ".{w}"),
        *((f"{layers}attention.{n}_proj.{{w}}", f"{ours}attention.{n}.{{w}}") for n in "qkv"),
        (layers + "attention.out_proj.{w}", ours + "attention.out.{w}"),
        (layers + "layer_norm.{w}", f"{ours}attention.{where}.{{w}}"),
        (layers + "feed_forward.intermediate_dense.{w}", ours + "mlp.up.{w}"),
        (layers + "feed_forward.output_dense.{w}", ours + "mlp.down.{w}"),
        (layers + "final_layer_norm.{w}", f"{ours}mlp.{where}.{{w}}"),
        ignore=("wav2vec2.masked_spec_embed",),
    )
