"""Granite Swash: Granite 3 with sinks, windows in most layers, and positions in some alone.

IBM, "Granite Swash", 2026; the sinks: Xiao et al., 2023, arXiv:2309.17453.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _decoder as common
from blocks.families import granite
from blocks.families._granite import SINK_KEYS, read_granite, read_windows, write_windows
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    mlp = common.gated_mlp(c, bias=c.take("mlp_bias", bool, False), hidden=8192)
    return read_windows(c, read_granite(c, mlp, context=8192, eps=1e-5, kv_heads=4))


def config(s: Spec) -> dict[str, Any]:
    return granite.config(s) | write_windows(s)


_PARTS = (*common.DECODER_KEYS, *SINK_KEYS, *common.GATED_MLP_KEYS)
KEYS = Keys(*_PARTS, ignore=common.ROTARY_TABLES)

FAMILY = Family("granite_swa", ("GraniteSWAForCausalLM",), spec, config, KEYS)
