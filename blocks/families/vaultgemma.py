"""VaultGemma: Gemma 2 without the norms of what its branches find, trained with privacy.

Sinha et al., "VaultGemma", 2025, arXiv:2510.15001.
"""

from __future__ import annotations

from blocks import Spec, rewrite
from blocks.families import _decoder as common
from blocks.families import gemma2
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    without = rewrite(gemma2.spec(c), "layers.*.attention.norm_out", None)
    return rewrite(without, "layers.*.mlp.norm_out", None)


KEYS = Keys(
    *common.END_KEYS,
    *common.QKV_KEYS,
    *common.GATED_MLP_KEYS,
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.attention.norm_in.{w}"),
    ("model.layers.{i}.self_attn.o_proj.{w}", "layers.{i}.attention.out.{w}"),
    ("model.layers.{i}.pre_feedforward_layernorm.{w}", "layers.{i}.mlp.norm_in.{w}"),
    ("model.norm.{w}", "norm.{w}"),
    ignore=common.ROTARY_TABLES,
)

FAMILY = Family("vaultgemma", ("VaultGemmaForCausalLM",), spec, gemma2.config, KEYS)
