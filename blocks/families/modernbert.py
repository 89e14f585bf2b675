"""ModernBERT: pre-norm layers with gated MLPs that turn positions and mostly see a window.

Warner et al., 2024, arXiv:2412.13663.
"""

from __future__ import annotations

from typing import Any

from blocks import Full, Spec, SymmetricWindow
from blocks.families import _classic as classic
from blocks.families import _encoder as common
from blocks.families import _modernbert as own
from blocks.families._rope import reach
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Join, Keys

SERVED = common.architectures("ModernBert", *common.USUAL)


def spec(c: Config) -> Spec:
    c.only("position_embedding_type", "absolute", "sans_pos")  # said, and without a meaning
    for name in ("causal_mask", "is_causal"):
        c.only(name, False)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 8192)
    norm = own.read_norm(c)
    layers = own.layers(c, dim, context, norm, Full(), SymmetricWindow(own.half(c)))
    parts: dict[str, Any] = {"norm": norm, "stem": own.stem(c, norm), **own.heads(c, norm)}
    return common.encoder(c, SERVED, layers, dim, reach(layers, context), names=own.NAMES, **parts)


def config(s: Spec) -> dict[str, Any]:
    return common.write(s, "ModernBert", own.NAMES) | own.write(s)


FUSED = (
    Join("layers.{i}.attn.Wqkv.{w}", classic.QKV),
    Join("layers.{i}.mlp.Wi.{w}", own.GATED),
)
DENSE = (("head.dense.{w}", "head.dense.{w}"), ("head.norm.{w}", "head.norm.{w}"))
ENDS = dict.fromkeys(common.TASK_KEYS, (*DENSE, ("classifier.{w}", "head.out.{w}"))) | {
    "ForMaskedLM": (*DENSE, ("decoder.{w}", "head.{w}")),
    "Model": (),
}


def keys(s: Spec) -> Keys:
    return common.table(s, "model.", ENDS, body=own.BODY_KEYS, pooled={}, fused=FUSED)


FAMILY = Family("modernbert", SERVED, spec, config, keys)
