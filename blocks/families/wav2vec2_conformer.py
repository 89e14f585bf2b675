"""wav2vec 2.0 with Conformer layers: a head of CTC or of classes.

Wang et al., "fairseq S2T", 2020, arXiv:2010.05171; Baevski et al., 2020, arXiv:2006.11477.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, FrameEncoder, LayerNorm, Spec, at
from blocks.families import _conformer as conformer
from blocks.families import _heard as heard
from blocks.families import _sound as sound
from blocks.families._dialects import count, read_activation, read_or_null
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = heard.architectures("Wav2Vec2Conformer")


def spec(c: Config) -> Spec:
    sound.read_wav2vec2(c)
    rate = {n: c.take(f"{n}_dropout", float, 0.1) for n in ("hidden", "attention", "activation")}
    convs = c.take("conformer_conv_dropout", float, 0.1)
    dim, heads = c.take("hidden_size", int), c.take("num_attention_heads", int)
    act, kernel = read_activation(c, default="gelu"), c.take("conv_depthwise_kernel_size", int, 31)
    mlp = Spec(MLP, hidden=c.take("intermediate_size", int), act=act, dropout=rate["activation"])
    kind = read_or_null(c, "position_embeddings_type", "relative", str)
    attention = sound.attention(c, kind, dim, heads, rate["attention"])
    after = (rate["hidden"], rate["attention"], convs, rate["hidden"])
    module = conformer.conv_module(kernel, act, bias=False)
    layer = conformer.conformer(attention, mlp, module, after)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5))
    layers = (layer,) * count(c, "num_hidden_layers")
    parts = {"layers": layers, "norm": norm, "stem": norm, **sound.stem(c)}
    return Spec(FrameEncoder, channels=1, dim=dim, **parts | heard.read_task(c, SERVED))


def config(s: Spec) -> dict[str, Any]:
    rates, module = conformer.rates(s), at(s, "layers.0.conv").keywords
    return (
        conformer.write_mlp(s)
        | sound.write_stem(s)
        | sound.write_attention(s)
        | {
            "attention_dropout": rates["attention"],
            "conformer_conv_dropout": rates["conv"],
            "conv_depthwise_kernel_size": module["kernel"],
            "hidden_dropout": rates["mlp"],
            "layer_norm_eps": at(s, "stem").keywords["eps"],
        }
        | heard.write_task(s, "Wav2Vec2Conformer")
    )


FAMILY = Family("wav2vec2-conformer", SERVED, spec, config, heard.conformer_keys, ties=())
