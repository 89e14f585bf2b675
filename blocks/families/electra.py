"""ELECTRA: BERT with narrow embeddings, pretrained to tell replaced tokens.

Clark et al., 2020, arXiv:2003.10555.
"""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, MaskedHead, SequenceHead, Spec, TokenHead
from blocks.families import _berts as names
from blocks.families import _encoder as common
from blocks.families._dialects import read_activation, read_noise
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

SERVED = common.architectures("Electra", "ForPreTraining", "ForMaskedLM", *common.USUAL[1:])


def spec(c: Config) -> Spec:
    c.only("position_embedding_type", "absolute")
    c.only("is_decoder", False)
    read_noise(c, "summary_last_dropout")
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 512)
    narrow = c.take("embedding_size", int, 128)
    width = None if narrow == dim else narrow
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    rate = c.take("hidden_dropout_prob", float, 0.1)
    rate = c.take("classifier_dropout", float, rate)
    return common.encoder(
        c,
        SERVED,
        common.post_norm(c, norm, dim),
        dim,
        context,
        stem=common.stem(c, norm, rows=context, types=c.take("type_vocab_size", int, 2)),
        width=width,
        masked=Spec(MaskedHead, width=width, norm=norm),
        sequence=Spec(SequenceHead, labels=2, act="gelu", dropout=rate),
        replaced=Spec(TokenHead, labels=1, act=read_activation(c, default="gelu")),
    )


def config(s: Spec) -> dict[str, Any]:
    narrow = {"embedding_size": s.keywords["width"] or s.keywords["dim"]}
    return common.write(s, "Electra") | common.write_types(s) | narrow


def keys(s: Spec) -> Keys:
    return common.table(s, "electra.", names.ELECTRA_ENDS, body=names.ELECTRA_BODY, pooled={})


FAMILY = Family("electra", SERVED, spec, config, keys)
