"""LED: BART, whose encoder reads long texts through Longformer's windows.

Beltagy et al., 2020, arXiv:2004.05150.
"""

from __future__ import annotations

from typing import Any

from blocks import Chain, Dropout, EncoderDecoder, LMHead, Spec, TokenEmbedding, at, replace
from blocks.families import _bart as bart
from blocks.families import _classic as classic
from blocks.families import _longformer as parts
from blocks.families import _pair as pair
from blocks.families import _reading as reading
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = reading.architectures("LED", "ForQuestionAnswering")
ROWS = {"encoder": 16384, "decoder": 1024}


def spec(c: Config) -> Spec:
    c.only("is_encoder_decoder", True)
    for unused in ("_num_labels", "classif_dropout"):
        c.take(unused, float, 0.0)
    dim, rate = c.take("d_model", int), c.take("dropout", float, 0.1)
    rows = {half: c.take(f"max_{half}_position_embeddings", int, n) for half, n in ROWS.items()}
    halves = {}
    for half in pair.HALVES:
        steps = {"positions": classic.learned(rows[half]), "norm": bart.NORM}
        steps["drop"] = Spec(Dropout, dropout=rate)
        ends = {"stem": Spec(Chain, steps=steps), "embedding": Spec(TokenEmbedding)}
        around = {"norm_after": bart.NORM, "dropout": rate}
        halves[half] = pair.half(c, half, dim, norm=None, **ends, **around)
    encoder = halves["encoder"]
    layers = parts.windowed(c, encoder.keywords["layers"], "encoder_layers")
    halves["encoder"] = replace(encoder, layers=layers)
    sizes = {"vocab": c.take("vocab_size", int), "dim": dim, "context": rows["decoder"]}
    whole = Spec(EncoderDecoder, **sizes, **halves, head=Spec(LMHead, bias=True))
    return reading.read(c, SERVED, whole, shift=reading.read_shift(c, 2))


def config(s: Spec) -> dict[str, Any]:
    rows = {half: at(s, f"{half}.stem.positions").keywords["rows"] for half in pair.HALVES}
    said = {f"max_{half}_position_embeddings": n for half, n in rows.items()}
    said |= parts.write_windows(s.keywords["encoder"])
    return pair.write(s) | said | reading.write(s, "LED")


FAMILY = Family("led", SERVED, spec, config, parts.led_keys, ties=bart.TIES)
