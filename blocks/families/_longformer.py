"""Windows around tokens, and tokens that see all: the fields of Longformer's attention."""

from __future__ import annotations

from typing import Any

from blocks import BeforeToken, FirstToken, LongformerAttention, Marks, Spec
from blocks.families._dialects import count
from blocks.families._layers import attentions, check_depth
from blocks.hub.config import Config


def read_attentions(c: Config, dim: int) -> list[Spec]:
    """The attention of every layer: windows may differ."""
    heads, depth = c.take("num_attention_heads", int), count(c, "num_hidden_layers")
    if dim % heads:
        raise c.error("num_attention_heads", f"{heads} heads don't divide hidden_size {dim}")
    said = c.take("attention_window", int | tuple[int, ...], 512)
    sizes = (said,) * depth if isinstance(said, int) else said
    check_depth(c, "attention_window", sizes, depth)
    if any(size < 2 or size % 2 for size in sizes):
        raise c.error("attention_window", f"{said} has no two halves, one for each side")
    rate = c.take("attention_probs_dropout_prob", float, 0.1)
    options = {"heads": heads, "head_dim": dim // heads, "bias": True, "out_bias": True}
    each = {n: Spec(LongformerAttention, radius=n // 2, dropout=rate, **options) for n in sizes}
    return [each[n] for n in sizes]


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
