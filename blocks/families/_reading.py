"""What encoder–decoders are made for beside writing: their tasks, the heads and names of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks import (
    Encoder,
    EncoderDecoder,
    SequenceHead,
    ShiftRight,
    SourceReader,
    SpanHead,
    Spec,
    TokenHead,
)
from blocks.families import _encoder as encoders
from blocks.families import _tasks as tasks
from blocks.families._dialects import asked
from blocks.hub.config import Config
from blocks.hub.keys import Keys, Row

WRITES = "ForConditionalGeneration"
ENDS: dict[str, tasks.Rules] = {
    WRITES: (("lm_head.weight", "head.weight"), Row("final_logits_bias", ("head.bias",))),
    "ForQuestionAnswering": (("qa_outputs.{w}", "head.out.{w}"),),
    "ForSequenceClassification": (
        ("classification_head.dense.{w}", "head.dense.{w}"),
        ("classification_head.out_proj.{w}", "head.out.{w}"),
    ),
    "ForTokenClassification": (("classifier.{w}", "head.out.{w}"),),
    "EncoderModel": (),
    "Model": (),
}


def architectures(name: str, *others: str) -> tuple[str, ...]:
    """The names in `architectures` of writing, of other tasks and of the bare model."""
    return tuple(name + task for task in (WRITES, *others, "Model"))


def read(
    c: Config,
    served: Sequence[str],
    whole: Spec,
    *,
    shift: ShiftRight | None = None,
    end: int = 2,
) -> Spec:
    """The model of the task that `architectures` names.

    Args:
        c: the reader.
        served: the names that the family serves, that of writing first.
        whole: the encoder–decoder that writes.
        shift: what makes the target of a source.
        end: the token that ends a source, where a config names none.
    """
    task = asked(c, served)
    if task == served[0] or task.endswith("LMHeadModel"):
        return whole
    parts = {name: part for name, part in whole.keywords.items() if name not in ("head", "ties")}
    if parts["source"] not in (None, parts["vocab"]):
        shift = None  # what the source is made of is no target
    half = {"vocab": parts["vocab"], "dim": parts["dim"], **parts["encoder"].keywords}
    if task.endswith("EncoderModel"):
        return Spec(Encoder, **half)
    if task.endswith("ForQuestionAnswering"):
        return Spec(SourceReader, head=Spec(SpanHead), shift=shift, **parts)
    if not task.endswith("Classification"):
        return Spec(SourceReader, shift=shift, **parts)
    told = {"labels": encoders.read_labels(c), "dropout": c.take("classifier_dropout", float, 0.0)}
    if task.endswith("ForTokenClassification"):
        return Spec(Encoder, head=Spec(TokenHead, **told), **half)
    head = Spec(SequenceHead, pool="last", **told)
    end = c.take("eos_token_id", int, end, low=0)
    return Spec(SourceReader, head=head, shift=shift, end=end, **parts)


def read_shift(c: Config, default: int | None) -> ShiftRight | None:
    """The shift by `decoder_start_token_id`; without such a token there is none."""
    start = c.take("decoder_start_token_id", int, default, low=0)
    return None if start is None else ShiftRight(start)


def task_of(s: Spec) -> str:
    """What follows a family's name in `architectures` for this model."""
    if s.func is EncoderDecoder:
        return WRITES
    task = encoders.task_of(s)
    return "EncoderModel" if task == "Model" and s.func is Encoder else task


def write(s: Spec, name: str) -> dict[str, Any]:
    """The fields that `read` and `read_shift` are read from."""
    if s.func is EncoderDecoder:
        return {}
    fields = encoders.write_task(s, name, task_of(s))
    if "num_labels" in fields:
        fields["classifier_dropout"] = s.keywords["head"].keywords["dropout"]
    shift, end = s.keywords.get("shift"), s.keywords.get("end")
    if shift is not None and shift.start is not None:
        fields["decoder_start_token_id"] = shift.start
    if end is not None:
        fields["eos_token_id"] = end
    return fields


def table(
    s: Spec,
    prefix: str,
    body: Sequence[tuple[str, str]],
    *,
    bare: Sequence[str] = ("Model",),
    ends: Mapping[str, tasks.Rules] = ENDS,
    ignore: Sequence[str] = (),
) -> Keys:
    """The table of names.

    Args:
        s: the model.
        prefix: of the bare model's names, with its dot.
        body: the names of both halves, without it.
        bare: the tasks whose files leave it out.
        ends: the names of the head, by task.
        ignore: templates that nothing reads, without the prefix.
    """
    task, apart = task_of(s), ()
    if s.func is Encoder:
        body = [(t, o.removeprefix("encoder.")) for t, o in body if not o.startswith("decoder.")]
        apart = ("decoder.", prefix + "decoder.")
    ignore = (*ignore, *(prefix + template for template in ignore))
    return tasks.table(task, prefix, ends, body, bare=task in bare, ignore=ignore, apart=apart)
