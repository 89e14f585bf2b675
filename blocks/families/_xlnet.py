"""XLNet: its attention, its head for classes, and its names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks import (
    Causal,
    Full,
    RelativeAttention,
    SequenceHead,
    SpanHead,
    SpanSearchHead,
    Spec,
    TypeRelation,
    at,
    replace,
)
from blocks.families._dialects import read_activation, write_activation
from blocks.families._encoder import task_of
from blocks.hub.config import Config
from blocks.hub.keys import Keys, Rename, Rule, Shape

if TYPE_CHECKING:
    from torch import Tensor

_ENDS = {
    "ForQuestionAnswering": (
        ("start_logits.dense.{w}", "head.begin.{w}"),
        ("end_logits.dense_0.{w}", "head.pair.{w}"),
        ("end_logits.LayerNorm.{w}", "head.norm.{w}"),
        ("end_logits.dense_1.{w}", "head.end.{w}"),
        ("answer_class.dense_0.{w}", "head.whole.{w}"),
        ("answer_class.dense_1.weight", "head.absent.weight"),
    ),
    "ForQuestionAnsweringSimple": (("qa_outputs.{w}", "head.out.{w}"),),
    "ForSequenceClassification": (
        ("sequence_summary.summary.{w}", "head.dense.{w}"),
        ("logits_proj.{w}", "head.out.{w}"),
    ),
    "ForTokenClassification": (("classifier.{w}", "head.out.{w}"),),
    "LMHeadModel": (("lm_loss.{w}", "head.{w}"),),
    "Model": (),
}
_PARTS = {"q": "q", "k": "k", "v": "v", "r": "position", "o": "out"}
_RENAMED = {
    "word_embedding.weight": "embedding.weight",
    "mask_emb": "embedding.query",
    "layer.{i}.rel_attn.r_w_bias": "layers.{i}.attention.content_bias",
    "layer.{i}.rel_attn.r_r_bias": "layers.{i}.attention.position_bias",
    "layer.{i}.rel_attn.r_s_bias": "layers.{i}.attention.relation.bias",
    "layer.{i}.rel_attn.seg_embed": "layers.{i}.attention.relation.weight",
    "layer.{i}.rel_attn.layer_norm.{w}": "layers.{i}.attention.norm_after.{w}",
    "layer.{i}.ff.layer_1.{w}": "layers.{i}.mlp.up.{w}",
    "layer.{i}.ff.layer_2.{w}": "layers.{i}.mlp.down.{w}",
    "layer.{i}.ff.layer_norm.{w}": "layers.{i}.mlp.norm_after.{w}",
}


@dataclass(frozen=True)
class Heads(Rule):
    """A matrix whose channels are apart by head: theirs is [width, heads, head_dim].

    Attributes:
        heads: how many.
        out: it goes from the heads to the width, as ours is stored; else ours is turned.
    """

    heads: int = 1
    out: bool = False

    def shape(self, ours: Sequence[Shape]) -> Shape:
        width, channels = ours[0] if self.out else ours[0][::-1]
        return (width, self.heads, channels // self.heads)

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        rows = theirs.flatten(1) if theirs.dim() > 2 else theirs
        return [rows if self.out else rows.t()]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        rows = ours[0] if self.out else ours[0].t()
        return rows.unflatten(1, (self.heads, -1))


def check(c: Config) -> None:
    """Reads what has one value alone, and what a caller decides by the state it gives."""
    for name, only in (("untie_r", True), ("bi_data", False), ("same_length", False)):
        c.only(name, only)
    c.only("reuse_len", None, 0)
    for name in ("use_mems_eval", "use_mems_train"):
        c.take(name, bool, True)


def attention(c: Config, dim: int, rate: float) -> Spec:
    """The attention of every layer; `rate` is its dropout."""
    ways, way = {"bi": Full(), "uni": Causal()}, c.take("attn_type", str, "bi")
    if way not in ways:
        raise c.error("attn_type", f"{way!r} is not known", f"known: {', '.join(ways)}")
    heads, clamp = c.take("n_head", int), c.take("clamp_len", int, -1, low=-1)
    if dim % heads:
        raise c.error("n_head", f"{heads} heads don't divide the width {dim}")
    memory = c.take("mem_len", int, None if "mem_len" in c.data else 512, low=0)
    return Spec(
        RelativeAttention,
        heads=heads,
        head_dim=c.take("d_head", int, dim // heads),
        clamp=clamp if clamp > 0 else None,
        memory=memory or None,
        relation=TypeRelation,
        mask=ways[way],
        dropout=rate,
    )


def read_summary(c: Config) -> Spec:
    """The head that tells a text's class, after what its fields call a summary."""
    c.only("summary_use_proj", True)
    pool = c.take("summary_type", str, "last")
    if pool not in ("first", "last", "mean"):
        raise c.error("summary_type", f"{pool!r} is not supported; 'last' is")
    act = "linear" if "summary_activation" in c.data else "tanh"  # which is what null means
    options = {"act": read_activation(c, "summary_activation", act), "pool": pool}
    rate = c.take("summary_last_dropout", float, 0.1)
    if not 0 <= rate < 1:
        raise c.error("summary_last_dropout", "must be in [0, 1)")
    return Spec(SequenceHead, labels=2, dropout=rate, **options)


def read_spans(c: Config, norm: Spec) -> Spec:
    """The head that tells where an answer is: of the two that there are, the one that is named."""
    sizes = {"begins": c.take("start_n_top", int, 5), "ends": c.take("end_n_top", int, 5)}
    if "XLNetForQuestionAnswering" in c.take("architectures", tuple[str, ...], ()):
        return Spec(SpanSearchHead, norm=norm, **sizes)
    return Spec(SpanHead)


def searches(s: Spec) -> bool:
    """Whether it answers with the likeliest spans, and not with scores of all tokens."""
    return s.keywords["head"] is not None and s.keywords["head"].func is SpanSearchHead


def task(s: Spec) -> str:
    """What follows the family's name in `architectures` for this model."""
    if searches(s):
        return "ForQuestionAnswering"
    named = task_of(s)
    return named + "Simple" if named == "ForQuestionAnswering" else named


def shown(s: Spec) -> Spec:
    """The model as other encoders are: with a head of all tokens' scores, where it searches."""
    return replace(s, head=Spec(SpanHead)) if searches(s) else s


def write(s: Spec) -> dict[str, Any]:
    """The fields that `attention`, `read_summary` and `read_spans` are read from."""
    said, head = at(s, "layers.0.attention").keywords, s.keywords["head"]
    fields: dict[str, Any] = {
        "architectures": ["XLNet" + task(s)],
        "attn_type": "bi" if said["mask"] == Full() else "uni",
        "clamp_len": said["clamp"] or -1,
        "d_head": said["head_dim"],
        "mem_len": said["memory"],
    }
    if searches(s):
        fields |= {"end_n_top": head.keywords["ends"], "start_n_top": head.keywords["begins"]}
    if task(s) == "ForSequenceClassification":
        fields["summary_activation"] = write_activation(head.keywords["act"])
        fields["summary_last_dropout"] = head.keywords["dropout"]
        fields["summary_type"] = head.keywords["pool"]
    return fields


def keys(s: Spec) -> Keys:
    """The table; files of a bare model leave `transformer.` out, those with a head have it."""
    heads, named = at(s, "layers.0.attention").keywords["heads"], task(s)

    def body(prefix: str) -> list[Rule]:
        apart = [
            Heads(
                f"{prefix}layer.{{i}}.rel_attn.{theirs}",
                (f"layers.{{i}}.attention.{ours}.weight",),
                heads=heads,
                out=theirs == "o",
            )
            for theirs, ours in _PARTS.items()
        ]
        return [*apart, *(Rename(prefix + theirs, ours) for theirs, ours in _RENAMED.items())]

    others = {theirs for rules in _ENDS.values() for theirs, _ in rules}
    others -= {theirs for theirs, _ in _ENDS[named]}
    short, long = body(""), body("transformer.")
    return Keys(
        *(short + long if named == "Model" else long + short),
        *_ENDS[named],
        apart=tuple(sorted(name.partition("{")[0] for name in others)),
    )
