"""Marian's translation models: the Transformer of 2017, post-norm layers with waves for positions.

Vaswani et al., 2017, arXiv:1706.03762; Junczys-Dowmunt et al., "Marian", 2018, arXiv:1804.00344.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _bart as common
from blocks.families import _reading as reading
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = ("MarianMTModel", "MarianModel")


def spec(c: Config) -> Spec:
    c.take("share_encoder_decoder_embeddings", bool, True)  # the tensors say it
    source = c.take("vocab_size", int)
    own = {"source": source, "shift": reading.read_shift(c, 58_100)}
    return common.spec(c, SERVED, before=False, learned=False, normed=False, **own)


def config(s: Spec) -> dict[str, Any]:
    vocab = {"vocab_size": s.keywords["source"], "decoder_vocab_size": s.keywords["vocab"]}
    shared = {"share_encoder_decoder_embeddings": common.shared(s)}
    return common.config(s, "Marian") | vocab | shared


FAMILY = Family("marian", SERVED, spec, config, common.keys, ties=common.TIES)
