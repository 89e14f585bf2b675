"""What BART, mBART, Marian and Pegasus share: all but where norms stand and what positions are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from blocks import (
    Chain,
    Dropout,
    EncoderDecoder,
    LayerNorm,
    LMHead,
    ShiftRight,
    SinusoidalPositions,
    Spec,
    TokenEmbedding,
    at,
)
from blocks.families import _classic as classic
from blocks.families import _pair as pair
from blocks.families import _reading as reading
from blocks.hub.config import Config
from blocks.hub.keys import Keys

NORM = Spec(LayerNorm)


# Of the tasks, those that this line has beside writing.
TASKS = ("ForQuestionAnswering", "ForSequenceClassification")


def spec(
    c: Config,
    served: Sequence[str],
    *,
    before: bool,
    learned: bool,
    normed: bool,
    shift: ShiftRight | None = None,
    source: int | None = None,
) -> Spec:
    """The model.

    Args:
        c: the reader.
        served: the names that the family serves.
        before: norms stand before the branches, and after the last layer; else after each sum.
        learned: positions are learnt; else waves.
        normed: a norm follows the positions.
        shift: what makes the target of a source; None is by `decoder_start_token_id`.
        source: tokens of the source, where they are others than the target's.
    """
    c.only("is_encoder_decoder", True)
    # What the first files say of the layout, which the family's name says as well.
    c.only("normalize_before", before)
    c.only("add_final_layer_norm", before)
    c.only("normalize_embedding", normed)
    c.only("static_position_embeddings", not learned)
    c.only("add_bias_logits", False)
    for unused in ("_num_labels", "classif_dropout", "extra_pos_embeddings"):
        c.take(unused, float, 0.0)
    dim, rate = c.take("d_model", int), c.take("dropout", float, 0.1)
    context = c.take("max_position_embeddings", int, 1024)
    waves = Spec(SinusoidalPositions, layout="halves")
    stem = {"positions": classic.learned(context, offset=2) if learned else waves}
    stem |= {"norm": NORM} if normed else {}
    stem |= {"drop": Spec(Dropout, dropout=rate)}
    scale = math.sqrt(dim) if c.take("scale_embedding", bool, False) else 1.0
    ends = {"stem": Spec(Chain, steps=stem), "embedding": Spec(TokenEmbedding, scale=scale)}
    around = {"norm_in" if before else "norm_after": NORM, "dropout": rate}
    last = NORM if before else None
    halves = {half: pair.half(c, half, dim, norm=last, **ends, **around) for half in pair.HALVES}
    vocab = {"vocab": c.take("vocab_size", int)} if source is None else {}
    if source is not None:
        vocab = {"vocab": c.take("decoder_vocab_size", int, source), "source": source}
    head = Spec(LMHead, bias=True)
    whole = Spec(EncoderDecoder, dim=dim, **vocab, **halves, head=head, context=context)
    return reading.read(c, served, whole, shift=shift or reading.read_shift(c, 2))


def config(s: Spec, name: str) -> dict[str, Any]:
    """The fields that `spec` is read from; `name` begins those in `architectures`."""
    scaled = at(s, "encoder.embedding").keywords["scale"] != 1.0
    own = {"max_position_embeddings": s.keywords["context"], "scale_embedding": scaled}
    return pair.write(s) | own | reading.write(s, name)


def shared(s: Spec) -> bool:
    """Whether both halves have one table of tokens."""
    return any(place == "decoder.embedding.weight" for place, _ in s.keywords["ties"])


def keys(s: Spec) -> Keys:
    """The table of names."""
    steps = s.keywords["encoder"].keywords["layers"][0].keywords["steps"]
    where = "norm_in" if steps["mlp"].keywords["norm_in"] else "norm_after"
    # Where the halves share a table it has a name of its own; else nothing reads what has it.
    table = ["encoder.embed_tokens.weight", "shared.weight"]
    if shared(s):
        table.reverse()
    body = [(name, "encoder.embedding.weight") for name in table]
    body += pair.body_keys(where)
    waves = tuple(f"{half}.embed_positions.weight" for half in pair.HALVES)
    copies = (*table, "decoder.embed_tokens.weight")
    ignore = (*copies, *waves, "encoder.version", "decoder.version")
    return reading.table(s, "model.", body, ignore=ignore)


# Where the target has a table of its own, the head may be that.
TIES = (
    ("decoder.embedding.weight", "encoder.embedding.weight"),
    ("head.weight", "decoder.embedding.weight"),
    ("head.weight", "encoder.embedding.weight"),
)
