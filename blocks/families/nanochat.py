"""nanochat: norms without weights, one of them after the embedding and one after the rotation.

Karpathy, "nanochat", 2025.
"""

from __future__ import annotations

from typing import Any

from blocks import MLP, LMHead, QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation, read_or_null
from blocks.families._halves import Halves
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), weight=False)
    bias = c.take("attention_bias", bool, False)
    qk = (read_rope(c, context), Spec(QKNorm, norm=norm))
    attention = common.attention(c, dim, *qk, bias=bias)
    act, hidden = read_activation(c, default="relu2"), c.take("intermediate_size", int)
    layer = common.pre_norm(norm, attention, Spec(MLP, hidden=hidden, act=act, bias=False))
    head = Spec(LMHead, cap=read_or_null(c, "final_logit_softcapping", 15.0, float))
    return common.decoder(c, layer, norm, dim, context, stem=norm, head=head)


def config(s: Spec) -> dict[str, Any]:
    own = {
        "attention_bias": at(s, "layers.0.attention").keywords["bias"],
        "final_logit_softcapping": at(s, "head").keywords["cap"],
    }
    return common.write_decoder(s) | common.write_mlp(at(s, "layers.0.mlp")) | own


def keys(s: Spec) -> Keys:
    # Its rotation goes the other way round.
    width = at(s, "layers.0.attention").keywords["head_dim"]
    halves = [Halves(theirs, (ours,), width) for theirs, ours in common.QKV_KEYS[:2]]
    return Keys(
        *halves,
        ("model.layers.{i}.mlp.fc1.{w}", "layers.{i}.mlp.up.{w}"),
        ("model.layers.{i}.mlp.fc2.{w}", "layers.{i}.mlp.down.{w}"),
        *common.DECODER_KEYS,
        ignore=common.ROTARY_TABLES,
    )


FAMILY = Family("nanochat", ("NanoChatForCausalLM",), spec, config, keys)
