"""RecurrentGemma: of three layers two remember by a gated recurrence, and one sees a window.

Botev et al., "RecurrentGemma", 2024, arXiv:2404.07839; De et al., "Griffin", arXiv:2402.19427.
"""

from __future__ import annotations

from typing import Any

from blocks import GatedMLP, LMHead, RMSNorm, Spec, TokenEmbedding, at
from blocks.families import _decoder as common
from blocks.families import _griffin as griffin
from blocks.families._dialects import read_activation
from blocks.families._hybrids import build_layers
from blocks.families._layers import attentions
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    c.only("embeddings_scale_by_sqrt_dim", True)
    for name in ("w_init_variance_scale", "final_w_init_variance_scale"):  # of fresh weights
        if c.take(name, float, 1.0) < 0:
            raise c.error(name, "must not be below zero")
    dim, act = c.take("hidden_size", int), read_activation(c, "hidden_activation", _TANH)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-6), offset=1.0, cast="after")
    both = c.take("intermediate_size", int, 3 * 2560, low=2)  # of gate and values together
    mlp = Spec(GatedMLP, hidden=both // 2, act=act, bias=True)
    firsts = {"attention": griffin.read_attention(c, dim), "mixer": griffin.read_mixer(c, dim, act)}
    kinds = griffin.read_kinds(c)
    layers = build_layers(norm, firsts, [mlp] * len(kinds), kinds)
    # The reference keeps √D in bfloat16, whatever the rest of the model is in.
    embedding = Spec(TokenEmbedding, scale=griffin.rounded(dim**0.5))
    head = Spec(LMHead, cap=c.take("logits_soft_cap", float, 30.0))
    return common.decoder(c, layers, norm, dim, None, embedding=embedding, head=head)


def config(s: Spec) -> dict[str, Any]:
    attention = attentions(s)[0].keywords
    turned, mlp = attention["qk"][0].keywords, at(s, "layers.0.mlp")
    rope = {"partial_rotary_factor": turned["rotated"], "rope_theta": turned["theta"]}
    fields = common.write_decoder(s, head_dim=True, rope=rope)
    del fields["max_position_embeddings"]  # of which it has no bound
    own = {
        "attention_bias": attention["bias"],
        "attention_window_size": attention["mask"].size,
        "intermediate_size": 2 * mlp.keywords["hidden"],
        "logits_soft_cap": at(s, "head").keywords["cap"],
    }
    acts = common.write_mlp(mlp, act="hidden_activation", tanh=_TANH)
    return fields | acts | own | griffin.write_kinds(s) | griffin.write_mixer(s)


_TANH = "gelu_pytorch_tanh"

FAMILY = Family("recurrent_gemma", ("RecurrentGemmaForCausalLM",), spec, config, griffin.KEYS)
