"""CANINE: characters, hashed, local at first, and deep as molecules of a few characters each.

Clark et al., 2021, arXiv:2103.06874.
"""

from __future__ import annotations

from typing import Any

from blocks import CharacterEncoder, HashedEmbedding, LayerNorm, Pooler, SequenceHead, Spec
from blocks.families import _canine as own
from blocks.families import _encoder as common
from blocks.hub.config import Config
from blocks.hub.family import Family

TASKS = ("ForQuestionAnswering", "ForSequenceClassification", "ForTokenClassification")
SERVED = ("CanineModel", *("Canine" + task for task in TASKS))


def spec(c: Config) -> Spec:
    dim, rate = c.take("hidden_size", int), c.take("hidden_dropout_prob", float, 0.1)
    context, buckets = (c.take(name, int, 16_384) for name in own.SIZES)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    hashed = Spec(HashedEmbedding, hashes=c.take("num_hash_functions", int, 8), buckets=buckets)
    sequence = Spec(SequenceHead, labels=2, dropout=rate)
    parts = {"masked": sequence, "sequence": sequence, "pooler": Spec(Pooler)}
    parts["stem"] = common.stem(c, norm, rows=buckets, types=c.take("type_vocab_size", int, 16))
    parts |= {"embedding": hashed, "vocab": 0x110000}  # all that Unicode has room for
    stacks = own.stacks(c, dim, norm, rate)
    whole = common.encoder(c, SERVED, stacks["layers"], dim, context, **parts).keywords
    head = whole["head"]  # all but a classifier of texts have a pooler
    pooler = None if head is not None and head.func is SequenceHead else Spec(Pooler)
    return Spec(CharacterEncoder, **{**whole, **stacks, "pooler": pooler})


def config(s: Spec) -> dict[str, Any]:
    return common.write(s, "Canine") | common.write_types(s) | own.write(s)


FAMILY = Family("canine", SERVED, spec, config, own.keys, optional=("pooler",))
