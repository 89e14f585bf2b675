"""K-EXAONE: EXAONE 4's attention with norms before each branch, and the experts of DeepSeek-V3.

LG AI Research, "K-EXAONE technical report", 2026, arXiv:2601.01739.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _decoder as common
from blocks.families import _experts as experts
from blocks.families._exaone import read_exaone, write_exaone
from blocks.families._layers import write_first_dense
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    moe = experts.read_experts(c, experts.read_router(c, scale=2.5), 64, hidden=1024)
    c.take("first_last_k_dense_replace", int, None, low=0)  # beside the list in the first files
    mlps = experts.read_mlps(c, moe, 1, hidden=16_384, older="is_moe_layer")
    return read_exaone(c, mlps, "norm_in")


def config(s: Spec) -> dict[str, Any]:
    moe = experts.write_experts(s, experts="num_experts", shared="num_shared_experts")
    return write_exaone(s) | moe | experts.write_router(s) | write_first_dense(s, listed=True)


KEYS = Keys(
    *common.DECODER_KEYS,
    *common.QK_NORM_KEYS,
    ("model.layers.{i}.mlp.e_score_correction_bias", "layers.{i}.mlp.router.correction"),
    *experts.KEYS,
    ignore=common.ROTARY_TABLES,
    apart=("mtp.",),
)

NAMES = ("ExaoneMoeForCausalLM", "ExaoneMoEForCausalLM")
FAMILY = Family("exaone_moe", NAMES, spec, config, KEYS)
