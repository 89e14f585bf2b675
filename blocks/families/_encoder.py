"""What encoder families share: layers, the task that a config names with its head, tensor names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks import (
    Chain,
    Dropout,
    Encoder,
    Full,
    LearnedPositions,
    LMHead,
    MaskedHead,
    MaskedLM,
    PretrainingHead,
    SentenceHead,
    SequenceHead,
    SpanHead,
    Spec,
    TokenEmbedding,
    TokenHead,
    TypeEmbedding,
    at,
    replace,
)
from blocks.families import _classic as classic
from blocks.families import _tasks as tasks
from blocks.families._decoder import layer
from blocks.families._dialects import asked, count
from blocks.hub.config import REQUIRED, Config
from blocks.hub.keys import Keys, Rule

Rules = Sequence[tuple[str, str]]

# What this line of models calls the fields that `_classic` knows.
BERT = {
    "activation": "hidden_act",
    "attention_dropout": "attention_probs_dropout_prob",
    "context": "max_position_embeddings",
    "depth": "num_hidden_layers",
    "dim": "hidden_size",
    "dropout": "hidden_dropout_prob",
    "eps": "layer_norm_eps",
    "heads": "num_attention_heads",
    "hidden": "intermediate_size",
}

# What follows a family's name in `architectures`, and the head that stands for it.
_HEADS = {
    "ForMaskedLM": MaskedHead,
    "ForPreTraining": PretrainingHead,
    "ForQuestionAnswering": SpanHead,
    "ForSequenceClassification": SequenceHead,
    "ForTokenClassification": TokenHead,
}


USUAL = ("ForMaskedLM", "ForQuestionAnswering", "ForSequenceClassification")
USUAL += ("ForTokenClassification",)


def architectures(name: str, *tasks: str) -> tuple[str, ...]:
    """The names in `architectures` of these tasks, or of all; the bare model is last."""
    return tuple(name + task for task in (*(tasks or _HEADS), "Model"))


def read_labels(c: Config) -> int:
    """How many classes a head tells apart."""
    named, number = c.take("id2label", Any, None), c.take("num_labels", int, None)
    if named is not None and number is not None and len(named) != number:
        raise c.error("num_labels", f"{number} labels, of which id2label names {len(named)}")
    return number or (2 if named is None else len(named))


def post_norm(
    c: Config,
    norm: Spec,
    dim: int,
    *,
    names: Mapping[str, str] = BERT,
    rate: float = 0.1,
    act: str = "gelu",
) -> Spec:
    """norm(x + attention x), then norm(x + mlp x), of full attention and a plain MLP.

    Args:
        c: the reader.
        norm: of both sums.
        dim: the model's width.
        names: of the fields.
        rate: the dropout that a config means that says none.
        act: the same of the activation.
    """
    attention = classic.attention(c, dim, names=names, rate=rate, mask=Full())
    mlp = classic.mlp(c, names=names, act=act)
    return layer(attention, mlp, norm_after=norm, dropout=c.take(names["dropout"], float, rate))


def stem(
    c: Config,
    norm: Spec,
    *,
    rows: int,
    offset: int = 0,
    types: int | None = None,
    names: Mapping[str, str] = BERT,
    rate: float = 0.1,
) -> Spec:
    """Types and positions are added, then normed and dropped."""
    parts = {} if types is None else {"types": Spec(TypeEmbedding, types=types)}
    parts |= {"positions": Spec(LearnedPositions, rows=rows, offset=offset), "norm": norm}
    drop = Spec(Dropout, dropout=c.take(names["dropout"], float, rate))
    return Spec(Chain, steps=parts | {"drop": drop})


def encoder(
    c: Config,
    served: Sequence[str],
    layers: Spec | tuple[Spec, ...],
    dim: int,
    context: int | None,
    *,
    masked: Spec,
    sequence: Spec,
    embedding: Spec = Spec(TokenEmbedding),  # noqa: B008  # frozen
    stem: Spec | None = None,
    norm: Spec | None = None,
    width: int | None = None,
    pooler: Spec | None = None,
    replaced: Spec | None = None,
    tokens: Spec | None = None,
    spans: Spec = Spec(SpanHead),  # noqa: B008  # frozen
    names: Mapping[str, str] = BERT,
    vocab: int = REQUIRED,
) -> Spec:
    """The whole model, with the head of the task that `architectures` names.

    Args:
        c: the reader.
        served: the names that the family serves, the usual one first.
        layers: of equal layers one, or all.
        dim: the model's width.
        context: how many tokens it was made for.
        masked: the head that tells masked tokens.
        sequence: the head that tells a text's class; its labels are read here.
        embedding, stem, norm, width: of the assembly.
        pooler: what the bare model has beside its hidden states.
        replaced: the head that tells replaced tokens, where models are pretrained with that.
        tokens: the head that tells a token's class; its labels are read here. None projects.
        spans: the head that tells where an answer is.
        names: of the fields.
        vocab: how many tokens a config means that doesn't count them.
    """
    if isinstance(layers, Spec):
        layers = (layers,) * count(c, names["depth"])
    parts = {"layers": layers, "norm": norm, "embedding": embedding, "stem": stem, "width": width}
    whole = {"vocab": c.take("vocab_size", int, vocab), "dim": dim, "context": context, **parts}
    task = asked(c, served)
    if task.endswith(("ForMaskedLM", "LMHeadModel")):
        return Spec(MaskedLM, head=masked, **whole)
    if task.endswith("ForPreTraining") and replaced:
        return Spec(Encoder, head=replaced, **whole)
    if task.endswith("ForPreTraining"):
        head = Spec(PretrainingHead, masked=masked, pairs=replace(sequence, labels=2))
        return Spec(MaskedLM, head=head, **whole)
    if task.endswith("ForSequenceClassification"):
        return Spec(Encoder, head=replace(sequence, labels=read_labels(c)), **whole)
    if task.endswith("ForTokenClassification"):
        usual = Spec(TokenHead, labels=2, dropout=sequence.keywords["dropout"])
        return Spec(Encoder, head=replace(tokens or usual, labels=read_labels(c)), **whole)
    if task.endswith(("ForQuestionAnswering", "ForQuestionAnsweringSimple")):
        return Spec(Encoder, head=spans, **whole)
    return Spec(Encoder, pooler=pooler, **whole)


def task_of(s: Spec) -> str:
    """What follows a family's name in `architectures` for this model."""
    head = s.keywords["head"]
    if head is None or head.func is SentenceHead:
        return "Model"
    if head.func is TokenHead and head.keywords["act"] and not head.keywords["norm"]:
        return "ForPreTraining"
    known = _HEADS | {"LMHeadModel": LMHead}
    return next(task for task, kind in known.items() if kind is head.func)


def write(s: Spec, name: str, names: Mapping[str, str] = BERT) -> dict[str, Any]:
    """The fields that `encoder`, `post_norm` and `stem` are read from."""
    return classic.write(s, names) | write_task(s, name, task_of(s))


def write_task(s: Spec, name: str, task: str) -> dict[str, Any]:
    """The fields of the task and of what its head tells apart."""
    told = "Classification" in task
    labels = {"num_labels": s.keywords["head"].keywords["labels"]} if told else {}
    return {"architectures": [name + task]} | labels


def write_types(s: Spec) -> dict[str, int]:
    """The field of the number of types."""
    return {"type_vocab_size": at(s, "stem.types").keywords["types"]}


def table(
    s: Spec,
    prefix: str,
    ends: Mapping[str, Rules],
    *,
    body: Rules,
    pooled: Mapping[str, str],
    pooler: str = "pooler.dense",
    fused: Sequence[Rule] = (),
    ignore: Sequence[str] = (),
) -> Keys:
    """The table of a model's names; those of other tasks' heads may lie beside them.

    Names begin with the family's prefix or without it: the files of a bare model leave it out,
    those of one with a head have it, and either loads.

    Args:
        s: the model.
        prefix: of the bare model's names, with its dot.
        ends: the names of the head, by task.
        body: the names of everything below the head.
        pooled: where the pooler's projection lies in the tasks that have one.
        pooler: its name.
        fused: rules of tensors of the body that hold several of ours, which come first.
        ignore: templates that nothing reads.
    """
    task = task_of(s)
    pool = [(pooler + ".{w}", pooled[task])] if task in pooled else []
    return tasks.table(
        task,
        prefix,
        {name: aged(rules) for name, rules in ends.items()},
        [*fused, *aged((*body, *pool))],
        bare=task == "Model",
        ignore=(*ignore, prefix + POSITION_IDS, POSITION_IDS),
        apart=() if pool else ("pooler.", prefix + "pooler."),
    )


def aged(rules: Rules) -> list[tuple[str, str]]:
    """The rules, and what the first files called the parameters of norms."""
    old = [
        (theirs.replace("{w}", then), ours.replace("{w}", now))
        for theirs, ours in rules
        if theirs.endswith("LayerNorm.{w}")
        for then, now in (("gamma", "weight"), ("beta", "bias"))
    ]
    return [*rules, *old]


def moved(rules: Rules, to: str) -> Rules:
    """The rules of a head that is a part of another one."""
    return [(theirs, to + ours.removeprefix("head.")) for theirs, ours in rules]


POOLED = {
    "ForPreTraining": "head.pairs.dense.{w}",
    "ForSequenceClassification": "head.dense.{w}",
    "Model": "pooler.dense.{w}",
}
TIES = (("head.weight", "embedding.weight"), ("head.masked.weight", "embedding.weight"))
POSITION_IDS = "embeddings.position_ids"  # counted, but older files hold them

# The names of BERT's parts, which half of its successors kept.
_LAYER = "encoder.layer.{i}."
LAYER_KEYS = (
    (_LAYER + "attention.self.query.{w}", "layers.{i}.attention.q.{w}"),
    (_LAYER + "attention.self.key.{w}", "layers.{i}.attention.k.{w}"),
    (_LAYER + "attention.self.value.{w}", "layers.{i}.attention.v.{w}"),
    (_LAYER + "attention.output.dense.{w}", "layers.{i}.attention.out.{w}"),
    (_LAYER + "attention.output.LayerNorm.{w}", "layers.{i}.attention.norm_after.{w}"),
    (_LAYER + "intermediate.dense.{w}", "layers.{i}.mlp.up.{w}"),
    (_LAYER + "output.dense.{w}", "layers.{i}.mlp.down.{w}"),
    (_LAYER + "output.LayerNorm.{w}", "layers.{i}.mlp.norm_after.{w}"),
)
BODY_KEYS = (
    ("embeddings.word_embeddings.weight", "embedding.weight"),
    ("embeddings.token_type_embeddings.weight", "stem.types.weight"),
    ("embeddings.position_embeddings.weight", "stem.positions.weight"),
    ("embeddings.LayerNorm.{w}", "stem.norm.{w}"),
    *LAYER_KEYS,
)
TASK_KEYS: dict[str, Rules] = {
    "ForQuestionAnswering": (("qa_outputs.{w}", "head.out.{w}"),),
    "ForSequenceClassification": (("classifier.{w}", "head.out.{w}"),),
    "ForTokenClassification": (("classifier.{w}", "head.out.{w}"),),
    "Model": (),
}
