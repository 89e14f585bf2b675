"""RWKV-4: layers that remember a mean of all values, and an MLP that reads the token before.

Peng et al., "RWKV: reinventing RNNs for the transformer era", 2023, arXiv:2305.13048.
"""

from __future__ import annotations

from typing import Any

from blocks import RWKV, LayerNorm, RWKVChannelMix, Spec, at
from blocks.families import _decoder as common
from blocks.families._rwkv import branch_keys, read_norms, write_norms
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.take("context_length", int, 1024)  # how long a text may be for the reference's kernel alone
    dim, eps = c.take("hidden_size", int), c.take("layer_norm_epsilon", float, 1e-5)
    mixer = Spec(RWKV, inner=c.take("attention_hidden_size", int, dim))
    channels = Spec(RWKVChannelMix, hidden=c.take("intermediate_size", int, 4 * dim))
    *norms, last = read_norms(c, eps)
    layers = tuple(common.pre_norm(norm, mixer, channels, "mixer") for norm in norms)
    return common.decoder(c, layers, last, dim, None, stem=Spec(LayerNorm, eps=eps))


def config(s: Spec) -> dict[str, Any]:
    own = {
        "attention_hidden_size": at(s, "layers.0.mixer").keywords["inner"],
        "hidden_size": s.keywords["dim"],
        "intermediate_size": at(s, "layers.0.mlp").keywords["hidden"],
        "num_hidden_layers": len(s.keywords["layers"]),
        "tie_word_embeddings": bool(s.keywords["ties"]),
        "vocab_size": s.keywords["vocab"],
    }
    return own | write_norms(s)


KEYS = Keys(
    ("rwkv.embeddings.weight", "embedding.weight"),
    ("rwkv.blocks.0.pre_ln.{w}", "stem.{w}"),
    *branch_keys("attention", "mixer", "ln1"),
    ("rwkv.blocks.{i}.attention.time_decay", "layers.{i}.mixer.fade_log"),
    ("rwkv.blocks.{i}.attention.time_first", "layers.{i}.mixer.bonus"),
    ("rwkv.blocks.{i}.attention.output.weight", "layers.{i}.mixer.out.weight"),
    *branch_keys("feed_forward", "mlp", "ln2"),
    ("rwkv.ln_out.{w}", "norm.{w}"),
    ("head.weight", "head.weight"),
    optional="rwkv.",
)

FAMILY = Family("rwkv", ("RwkvForCausalLM",), spec, config, KEYS)
