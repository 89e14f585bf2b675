"""XLNet: its attention, its head for classes, and its names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks import Causal, Full, RelativeAttention, SequenceHead, Spec, TypeRelation, at
from blocks.families._dialects import read_activation, write_activation
from blocks.families._encoder import task_of
from blocks.hub.config import Config
from blocks.hub.keys import Keys, Rename, Rule, Shape

if TYPE_CHECKING:
    from torch import Tensor

_ENDS = {
    "ForQuestionAnswering": (("qa_outputs.{w}", "head.out.{w}"),),
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
    for name in ("end_n_top", "start_n_top"):  # of a head that searches for answers
        c.take(name, int, 5)


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


def write(s: Spec) -> dict[str, Any]:
    """The fields that `attention` and `read_summary` are read from."""
    said, head = at(s, "layers.0.attention").keywords, s.keywords["head"]
    fields: dict[str, Any] = {
        "attn_type": "bi" if said["mask"] == Full() else "uni",
        "clamp_len": said["clamp"] or -1,
        "d_head": said["head_dim"],
        "mem_len": said["memory"],
    }
    if task_of(s) == "ForQuestionAnswering":
        fields["architectures"] = ["XLNetForQuestionAnsweringSimple"]
    if task_of(s) == "ForSequenceClassification":
        fields["summary_activation"] = write_activation(head.keywords["act"])
        fields["summary_last_dropout"] = head.keywords["dropout"]
        fields["summary_type"] = head.keywords["pool"]
    return fields


def keys(s: Spec) -> Keys:
    """The table; files of a bare model leave `transformer.` out, those with a head have it."""
    heads, task = at(s, "layers.0.attention").keywords["heads"], task_of(s)

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
    others -= {theirs for theirs, _ in _ENDS[task]}
    short, long = body(""), body("transformer.")
    return Keys(
        *(short + long if task == "Model" else long + short),
        *_ENDS[task],
        apart=tuple(sorted(name.partition("{")[0] for name in others)),
    )
