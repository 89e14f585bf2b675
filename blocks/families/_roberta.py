"""What RoBERTa and its kin share: all of it but their names."""

from __future__ import annotations

from typing import Any

from blocks import LayerNorm, MaskedHead, Pooler, SequenceHead, Spec, at
from blocks.families import _encoder as common
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config, served: tuple[str, ...]) -> Spec:
    """The model: BERT, whose positions start behind the padding's row."""
    c.only("position_embedding_type", "absolute")
    c.only("is_decoder", False)
    dim, rows = c.take("hidden_size", int), c.take("max_position_embeddings", int, 512)
    offset = c.take("pad_token_id", int, 1, low=0) + 1
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-12))
    rate = c.take("hidden_dropout_prob", float, 0.1)
    types = c.take("type_vocab_size", int, 2)
    return common.encoder(
        c,
        served,
        common.post_norm(c, norm, dim),
        dim,
        max(rows - offset, 1),
        stem=common.stem(c, norm, rows=rows, offset=offset, types=types),
        masked=Spec(MaskedHead, norm=norm),
        sequence=Spec(SequenceHead, labels=2, dropout=c.take("classifier_dropout", float, rate)),
        pooler=Spec(Pooler),
    )


def config(s: Spec, name: str) -> dict[str, Any]:
    """The fields that `spec` is read from."""
    positions = at(s, "stem.positions").keywords
    own = {
        "max_position_embeddings": positions["rows"],
        "pad_token_id": positions["offset"] - 1,
    }
    return common.write(s, name) | common.write_types(s) | own


ENDS = common.TASK_KEYS | {
    "ForMaskedLM": (
        ("lm_head.decoder.weight", "head.weight"),
        ("lm_head.bias", "head.bias"),
        ("lm_head.dense.{w}", "head.dense.{w}"),
        ("lm_head.layer_norm.{w}", "head.norm.{w}"),
    ),
    "ForSequenceClassification": (
        ("classifier.dense.{w}", "head.dense.{w}"),
        ("classifier.out_proj.{w}", "head.out.{w}"),
    ),
}
COPIES = ("lm_head.decoder.bias",)  # of lm_head.bias
POOLED = {"Model": "pooler.dense.{w}"}


def family(model_type: str, name: str, *, prefix: str = "roberta.") -> Family:
    """The family of a name in `architectures` and of names of tensors."""
    served = common.architectures(name, *common.USUAL)

    def keys(s: Spec) -> Keys:
        body = common.BODY_KEYS
        return common.table(s, prefix, ENDS, body=body, pooled=POOLED, ignore=COPIES)

    return Family(
        model_type,
        served,
        lambda c: spec(c, served),
        lambda s: config(s, name),
        keys,
        ties=common.TIES,
        optional=("pooler",),
    )
