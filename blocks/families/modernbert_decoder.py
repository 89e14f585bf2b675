"""ModernBERT's decoder: the same layers, each token of which sees what came before.

Weller et al., "Seq vs seq: an open suite of paired encoders and decoders" (Ettin), 2025,
arXiv:2507.11412.
"""

from __future__ import annotations

from blocks import Causal, Spec, Window
from blocks.families import _classic as classic
from blocks.families import _modernbert as own
from blocks.families._decoder import decoder
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys


def spec(c: Config) -> Spec:
    c.only("position_embedding_type", "absolute", "sans_pos")  # said, and without a meaning
    for name in ("causal_mask", "is_causal"):
        c.only(name, True)
    c.only("classifier_pooling", "cls", "mean")  # of a head for classes, which is not served
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = own.read_norm(c)
    window = Window(c.take("sliding_window", int, own.half(c)))
    layers = own.layers(c, dim, context, norm, Causal(), window)
    ends = {"stem": own.stem(c, norm), "head": own.masked(c, norm)}
    return decoder(c, layers, norm, dim, context, **ends)


KEYS = Keys(
    *(("model." + theirs, ours) for theirs, ours in own.BODY_KEYS),
    *classic.apart_qkv("model.layers.{i}.attn."),
    Join("model.layers.{i}.mlp.Wi.{w}", own.GATED),
    ("lm_head.dense.{w}", "head.dense.{w}"),
    ("lm_head.norm.{w}", "head.norm.{w}"),
    ("decoder.{w}", "head.{w}"),
    optional="model.",
)

FAMILY = Family("modernbert-decoder", ("ModernBertDecoderForCausalLM",), spec, own.write, KEYS)
