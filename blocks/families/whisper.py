"""Whisper: an encoder of log-mel frames and a decoder that writes what was said.

Radford et al., 2022, arXiv:2212.04356.
"""

from __future__ import annotations

from typing import Any

from blocks import ConvStem, EncoderDecoder, LayerNorm, Spec, TokenEmbedding, at
from blocks.families import _classic as classic
from blocks.families import _pair as pair
from blocks.families import _reading as reading
from blocks.families._sound import read_training
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

NORM = Spec(LayerNorm)


def spec(c: Config) -> Spec:
    read_training(c)
    c.take("median_filter_width", int, 7)  # of timing words
    c.take("scale_embedding", bool, False)  # on which no Whisper has acted
    c.only("is_encoder_decoder", True)
    dim, rate = c.take("d_model", int), c.take("dropout", float, 0.0)
    rows = [c.take(f"max_{side}_positions", int, n) for side, n in SIDES.items()]
    parts = {}
    for half, embedding, n in zip(pair.HALVES, (ConvStem, TokenEmbedding), rows, strict=True):
        ends = {"embedding": Spec(embedding), "stem": classic.learned(n, dropout=rate)}
        around = {"norm_in": NORM, "dropout": rate}
        parts[half] = pair.half(c, half, dim, norm=NORM, key_bias=False, **ends, **around)
    sizes = {"vocab": c.take("vocab_size", int), "source": c.take("num_mel_bins", int, 80)}
    whole = Spec(EncoderDecoder, dim=dim, context=rows[1], **sizes, **parts)
    return reading.read(c, SERVED, whole)


def config(s: Spec) -> dict[str, Any]:
    stems = {side: at(s, f"{half}.stem") for side, half in zip(SIDES, pair.HALVES, strict=True)}
    rows = {f"max_{side}_positions": stem.keywords["rows"] for side, stem in stems.items()}
    rows["num_mel_bins"] = s.keywords["source"]
    return pair.write(s) | rows | reading.write(s, "Whisper")


SIDES = {"source": 1500, "target": 448}
SERVED = reading.architectures("Whisper")
ENDS = reading.ENDS | {reading.WRITES: (("proj_out.weight", "head.weight"),)}
CONVS = ((f"encoder.conv{n + 1}.{{w}}", f"encoder.embedding.convs.{n}.{{w}}") for n in (0, 1))
BODY = (*CONVS, *pair.body_keys("norm_in", "stem"))
TIES = (("head.weight", "decoder.embedding.weight"),)


def keys(s: Spec) -> Keys:
    return reading.table(s, "model.", BODY, ends=ENDS)


FAMILY = Family("whisper", SERVED, spec, config, keys, ties=TIES)
