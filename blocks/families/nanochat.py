"""nanochat: norms without weights, one of them after the embedding and one after the rotation.

Karpathy, "nanochat", 2025.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blocks import MLP, LMHead, QKNorm, RMSNorm, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import read_activation, read_or_null
from blocks.families._rope import read_rope
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys, Rule

if TYPE_CHECKING:
    from torch import Tensor


def spec(c: Config) -> Spec:
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), weight=False)
    qk, bias = (read_rope(c, context), Spec(QKNorm, norm=norm)), c.take("attention_bias", bool, False)
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


@dataclass(frozen=True)
class Swap(Rule):
    """The halves of each head change places: there the rotation goes the other way round."""

    width: int = 2

    def load(self, theirs: Tensor, ours: Sequence[Any]) -> list[Tensor]:
        return [theirs.unflatten(0, (-1, 2, self.width // 2)).flip(1).flatten(0, 2)]

    def save(self, ours: Sequence[Tensor]) -> Tensor:
        return self.load(ours[0], ())[0]


def keys(s: Spec) -> Keys:
    width = at(s, "layers.0.attention").keywords["head_dim"]
    fc = (("mlp.fc1.{w}", "mlp.up.{w}"), ("mlp.fc2.{w}", "mlp.down.{w}"))
    turned = [
        Swap(f"model.layers.{{i}}.self_attn.{p}_proj.{kind}", (f"layers.{{i}}.attention.{p}.{kind}",), width)
        for p in "qk"
        for kind in ("weight", "bias")
    ]
    plain = [(f"model.layers.{{i}}.{theirs}", f"layers.{{i}}.{ours}") for theirs, ours in fc]
    return Keys(*turned, *plain, *common.DECODER_KEYS, ignore=common.ROTARY_TABLES)


FAMILY = Family("nanochat", ("NanoChatForCausalLM",), spec, config, keys)
