"""The tasks of Reformer, by the heads that `architectures` names, and its tensor names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blocks import CausalLM, Full, LMHead, SequenceHead, Spec
from blocks.families import _encoder as common
from blocks.families._decoder import decoder
from blocks.families._dialects import asked, read_or_null
from blocks.families._layers import attentions
from blocks.hub.config import Config
from blocks.hub.keys import Keys

_WRITES, _FILLS = "ReformerModelWithLMHead", "ReformerForMaskedLM"


def read_ahead(c: Config, served: Sequence[str]) -> bool:
    """Whether tokens see later ones, which goes with some tasks alone."""
    ahead = not c.take("is_decoder", bool, False)
    task = asked(c, served)
    if task == _WRITES and ahead:
        raise c.error("is_decoder", "a model that predicts the next token is a decoder")
    if task == _FILLS and not ahead:
        raise c.error("is_decoder", "a model that tells masked tokens is no decoder")
    return ahead


def whole(
    c: Config,
    served: Sequence[str],
    layers: tuple[Spec, ...],
    norm: Spec,
    dim: int,
    context: int,
    rate: float,
    **ends: Spec,
) -> Spec:
    """The model, with the head of the task that `architectures` names.

    Args:
        c: the reader.
        served: the names that the family serves, the usual one first.
        layers: all of them.
        norm: the last norm.
        dim: of both streams together.
        context: how many tokens it was made for.
        rate: the dropout that a head means that says none.
        **ends: embedding and stem.
    """
    head = Spec(LMHead, bias=True)
    if asked(c, served) == _WRITES:
        return decoder(c, layers, norm, dim, context, head=head, **ends)
    said = read_or_null(c, "classifier_dropout", None, float)
    rate = rate if said is None else said
    classes = Spec(SequenceHead, labels=2, width=dim // 2, dropout=rate)
    parts: dict[str, Any] = {"masked": head, "sequence": classes, "norm": norm, **ends}
    return common.encoder(c, served, layers, dim, context, **parts)


def task_of(s: Spec) -> str:
    """What follows the family's name in `architectures` for this model."""
    if s.func is CausalLM:
        return "ModelWithLMHead"
    named = common.task_of(s)
    return "ForMaskedLM" if named == "LMHeadModel" else named


def write_task(s: Spec) -> dict[str, Any]:
    """The fields that `read_ahead` and `whole` are read from."""
    ahead = attentions(s)[0].keywords["mask"] == Full()
    fields = {"architectures": ["Reformer" + task_of(s)], "is_decoder": not ahead}
    if task_of(s) == "ForSequenceClassification":
        head = s.keywords["head"].keywords
        fields |= {"classifier_dropout": head["dropout"], "num_labels": head["labels"]}
    return fields


_TABLE, _NAMED = "embeddings.position_embeddings.", {"qk": "query_key", "v": "value"}
_NAMED |= {"q": "query", "k": "key"}
_ENDS: dict[str, common.Rules] = {
    "ForMaskedLM": (("lm_head.bias", "head.bias"), ("lm_head.decoder.{w}", "head.{w}")),
    "ForQuestionAnswering": (("qa_outputs.{w}", "head.out.{w}"),),
    "ForSequenceClassification": (
        ("classifier.dense.{w}", "head.dense.{w}"),
        ("classifier.out_proj.{w}", "head.out.{w}"),
    ),
    "Model": (),
}
_ENDS["ModelWithLMHead"] = _ENDS["ForMaskedLM"]


def keys(s: Spec) -> Keys:
    """The table of tensor names, of a grid of positions or of one table."""
    grid = len(s.keywords["stem"].keywords["shape"]) > 1
    table = ("weights.{a}", "stem.weights.{a}") if grid else ("embedding.weight", "stem.weights.0")
    masks = [f"{kind}mask_value_float{bits}" for kind in ("", "self_") for bits in (16, 32)]
    layer, ours = "encoder.layers.{i}.", "layers.{i}."
    body = (
        ("embeddings.word_embeddings.weight", "embedding.weight"),
        (_TABLE + table[0], table[1]),
        (layer + "attention.layer_norm.{w}", ours + "attention.norm_in.{w}"),
        *(
            (f"{layer}attention.self_attention.{name}.{{w}}", f"{ours}attention.{p}.{{w}}")
            for p, name in _NAMED.items()
        ),
        (layer + "attention.output.dense.{w}", ours + "attention.out.{w}"),
        (layer + "feed_forward.layer_norm.{w}", ours + "mlp.norm_in.{w}"),
        (layer + "feed_forward.dense.dense.{w}", ours + "mlp.up.{w}"),
        (layer + "feed_forward.output.dense.{w}", ours + "mlp.down.{w}"),
        ("encoder.layer_norm.{w}", "norm.{w}"),
    )
    both = ("", "reformer.") if task_of(s) == "Model" else ("reformer.", "")
    others = {theirs for rules in _ENDS.values() for theirs, _ in rules}
    others -= {theirs for theirs, _ in _ENDS[task_of(s)]}
    return Keys(
        *((start + theirs, place) for start in both for theirs, place in body),
        *_ENDS[task_of(s)],
        ignore=(
            "lm_head.decoder.bias",
            *(start + layer + "attention.self_attention." + m for start in both for m in masks),
        ),
        apart=tuple(sorted(name.partition("{")[0] for name in others)),
    )
