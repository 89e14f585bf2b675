"""Windows around tokens, and tokens that see all: the fields of Longformer's attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from blocks import (
    BeforeToken,
    FirstToken,
    GQAttention,
    LongformerAttention,
    Marks,
    Spec,
    rewrite,
)
from blocks.families import _pair as pair
from blocks.families import _reading as reading
from blocks.families._layers import attentions
from blocks.hub.config import Config
from blocks.hub.keys import Keys


def windowed(
    c: Config, layers: Sequence[Spec], depth: str = "num_hidden_layers"
) -> tuple[Spec, ...]:
    """These layers, counted by the field `depth`, with windows, which may differ."""
    said = c.take("attention_window", int | tuple[int, ...], 512)
    sizes = (said,) * len(layers) if isinstance(said, int) else said
    if len(sizes) != len(layers):
        raise c.error(depth, f"{len(layers)} layers, but attention_window lists {len(sizes)}")
    if any(size < 2 or size % 2 for size in sizes):
        raise c.error("attention_window", f"{said} has no two halves, one for each side")
    pairs = zip(layers, sizes, strict=True)
    return tuple(rewrite(each, GQAttention, _windowed(size // 2)) for each, size in pairs)


def _windowed(radius: int) -> Callable[[Spec], Spec]:
    kept = ("heads", "head_dim", "bias", "out_bias", "dropout")

    def of(attention: Spec) -> Spec:
        options = {name: attention.keywords[name] for name in kept}
        return Spec(LongformerAttention, radius=radius, **options)

    return of


def write_windows(s: Spec) -> dict[str, Any]:
    """The field of windows, which span both sides."""
    return {"attention_window": [2 * part.keywords["radius"] for part in attentions(s)]}


def read_marks(c: Config, task: str) -> Marks | None:
    """Which tokens see all in a task: the one that tells the class, or a question."""
    sep = BeforeToken(c.take("sep_token_id", int, 2, low=0))
    marks = {"ForSequenceClassification": FirstToken(), "ForQuestionAnswering": sep}
    return marks.get(task)


def write_marks(s: Spec) -> dict[str, int]:
    """The field that `read_marks` is read from."""
    marks = s.keywords["marks"]
    return {"sep_token_id": marks.token} if isinstance(marks, BeforeToken) else {}


def led_keys(s: Spec) -> Keys:
    """LED's table of names: BART's, but for the encoder's attention."""
    theirs, ours = "encoder.layers.{i}.self_attn.", "encoder.layers.{i}.attention."
    parts = {"query": "q", "key": "k", "value": "v"}
    names = [(f"longformer_self_attn.{name}", part) for name, part in parts.items()]
    names += [(f"{name}_global", f"{part}_global") for name, part in names]
    others = [rule for rule in pair.body_keys("norm_after") if not rule[0].startswith(theirs)]
    body = [
        ("shared.weight", "encoder.embedding.weight"),
        *((f"{theirs}{name}.{{w}}", f"{ours}{part}.{{w}}") for name, part in names),
        (theirs + "output.{w}", ours + "out.{w}"),
        *others,
    ]
    ignore = [f"{half}.embed_tokens.weight" for half in pair.HALVES]
    return reading.table(s, "led.", body, ignore=ignore)
