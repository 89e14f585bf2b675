"""Parakeet's fields, written, and its tensor names."""

from __future__ import annotations

from typing import Any

from blocks import Spec, at
from blocks.families._conformer import counted, layer_keys, write_mlp
from blocks.hub.keys import Keys
from blocks.hub.pointwise import Pointwise


def config(s: Spec) -> dict[str, Any]:
    """The fields of config.json."""
    image, attention = at(s, "embedding").keywords, at(s, "layers.0.attention").keywords
    module, dim = at(s, "layers.0.conv").keywords, s.keywords["dim"]
    encoder = write_mlp(s) | {
        "attention_bias": attention["bias"],
        "attention_dropout": attention["dropout"],
        "conv_kernel_size": module["kernel"],
        "convolution_bias": module["bias"],
        "head_dim": attention["head_dim"],
        "model_type": "parakeet_encoder",
        "num_attention_heads": attention["heads"],
        "num_mel_bins": s.keywords["channels"],
        "scale_input": image["scale"] != 1.0,
        "subsampling_conv_channels": image["hidden"],
        "subsampling_conv_kernel_size": image["kernel"],
        "subsampling_conv_stride": image["stride"],
        "subsampling_factor": 2 ** image["depth"],
    }
    if attention["head_dim"] * attention["heads"] == dim:
        del encoder["head_dim"]
    return {"encoder_config": encoder, "vocab_size": s.keywords["vocab"]}


_LAYER = {
    "mlp_before": "feed_forward1",
    "mlp_before.norm_in": "norm_feed_forward1",
    "mlp": "feed_forward2",
    "mlp.norm_in": "norm_feed_forward2",
    "norm_after": "norm_out",
    "up": "linear1",
    "down": "linear2",
    "attention": "self_attn",
    "attention.norm_in": "norm_self_att",
    "attention.q": "q_proj",
    "attention.k": "k_proj",
    "attention.v": "v_proj",
    "attention.out": "o_proj",
    "attention.position": "relative_k_proj",
    "attention.content_bias": "bias_u",
    "attention.position_bias": "bias_v",
    "conv": "conv",
    "conv.norm_in": "norm_conv",
    "conv.up": "pointwise_conv1",
    "conv.mix": "depthwise_conv",
    "conv.norm": "norm",
    "conv.down": "pointwise_conv2",
}


def keys(s: Spec) -> Keys:
    """The table, in which images take turns with what has no tensors."""
    layers, images = "encoder.layers.{i}.", "encoder.subsampling."
    rest = range(at(s, "embedding").keywords["depth"] - 1)
    turns = [(f"each.{n}", 3 * n + 2) for n in rest] + [(f"mix.{n}", 3 * n + 3) for n in rest]
    return Keys(
        *layer_keys(layers, _LAYER),
        (images + "layers.0.{w}", "embedding.first.{w}"),
        *((f"{images}layers.{at}.{{w}}", f"embedding.{part}.{{w}}") for part, at in turns),
        (images + "linear.{w}", "embedding.out.{w}"),
        Pointwise("ctc_head.weight", ("head.weight",)),
        ("ctc_head.bias", "head.bias"),
        ignore=(counted(layers, _LAYER),),
    )
