"""The names that RoBERTa and its successors gave their parts, and where their positions begin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks import Spec, at
from blocks.families import _encoder as common
from blocks.hub.config import Config

TASKS = tuple(f"For{task}" for task in ("MaskedLM", "QuestionAnswering"))
TASKS += tuple(f"For{task}Classification" for task in ("Sequence", "Token"))
ENDS: Mapping[str, common.Rules] = common.TASK_KEYS | {
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
POOLED = {"Model": "pooler.dense.{w}"}
COPIES = ("lm_head.decoder.bias",)  # of lm_head.bias


def positions(c: Config) -> tuple[int, int]:
    """Rows of the table of positions, and the row of the first: the one after padding's."""
    rows = c.take("max_position_embeddings", int, 512)
    offset = c.take("pad_token_id", int, 1, low=0) + 1
    if offset >= rows:
        raise c.error("max_position_embeddings", f"{rows} rows, the first token's is {offset}")
    return rows, offset


def write_positions(s: Spec) -> dict[str, Any]:
    """The fields that `positions` is read from."""
    options = at(s, "stem.positions").keywords
    return {"max_position_embeddings": options["rows"], "pad_token_id": options["offset"] - 1}
