"""Longformer: RoBERTa whose tokens see a window, and a few of them all.

Beltagy et al., 2020, arXiv:2004.05150.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec, replace
from blocks.families import _encoder as common
from blocks.families import _longformer as parts
from blocks.families import _roberta as roberta
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

SERVED = common.architectures("Longformer", *common.USUAL)


def spec(c: Config) -> Spec:
    c.only("attention_mode", "longformer")
    c.only("ignore_attention_mask", False)
    c.only("onnx_export", False)
    whole = roberta.spec(c, SERVED)
    layers = parts.windowed(c, whole.keywords["layers"])
    return replace(whole, layers=layers, marks=parts.read_marks(c, common.task_of(whole)))


def config(s: Spec) -> dict[str, Any]:
    return roberta.config(s, "Longformer") | parts.write_windows(s) | parts.write_marks(s)


_SELF, _OURS = "encoder.layer.{i}.attention.self.", "layers.{i}.attention."
BODY = (
    *common.BODY_KEYS,
    (_SELF + "query_global.{w}", _OURS + "q_global.{w}"),
    (_SELF + "key_global.{w}", _OURS + "k_global.{w}"),
    (_SELF + "value_global.{w}", _OURS + "v_global.{w}"),
)


def keys(s: Spec) -> Keys:
    names: dict[str, Any] = {"pooled": roberta.POOLED, "ignore": roberta.COPIES}
    return common.table(s, "longformer.", roberta.ENDS, body=BODY, **names)


FAMILY = Family("longformer", SERVED, spec, config, keys, ties=common.TIES, optional=("pooler",))
