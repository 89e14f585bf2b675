"""CodeGen: GPT-J whose queries, values and keys are fused, in four parts.

Nijkamp et al., 2022, arXiv:2203.13474; 2023, arXiv:2305.02309.
"""

from __future__ import annotations

from blocks import Spec, at
from blocks.families import _classic as classic
from blocks.families import gptj
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys

_PARTS = 4  # over which the training spread each layer


def spec(c: Config) -> Spec:
    c.take("n_ctx", int, 2048)  # how long its texts were
    found = gptj.spec(c)
    heads = at(found, "layers.0.attention").keywords["heads"]
    if heads % _PARTS:
        raise c.error("n_head", f"{heads} heads don't divide into {_PARTS} parts")
    return found


_ATTENTION = "transformer.h.{i}.attn."
_QVK = tuple(classic.QKV[part] for part in (0, 2, 1))

KEYS = Keys(
    Join(_ATTENTION + "qkv_proj.{w}", _QVK, groups=_PARTS),
    *gptj.REST,
    ignore=(_ATTENTION + "causal_mask", _ATTENTION + "bias", _ATTENTION + "masked_bias"),
    optional="transformer.",
)

FAMILY = Family("codegen", ("CodeGenForCausalLM",), spec, gptj.config, KEYS)
