"""Mamba-2, from files of transformers and from the authors', whose config has no model_type.

Dao and Gu, "Transformers are SSMs", 2024, arXiv:2405.21060.
"""

from __future__ import annotations

from typing import Any

from blocks import Spec
from blocks.families import _mamba as common
from blocks.families import _mamba2 as own
from blocks.families._dialects import read_activation
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

FIELDS: own.Fields = {
    "heads": ("num_heads", 128),
    "head_dim": ("head_dim", 64),
    "state_dim": ("state_size", 128),
    "groups": ("n_groups", 8),
    "kernel": ("conv_kernel", 4),
    "bias": ("use_bias", False),
    "conv_bias": ("use_conv_bias", True),
    "expand": ("expand", 2),
    "chunk": ("chunk_size", 256),
}
# Where the first files say something, or mean something else by saying nothing.
OLDER = {"head_dim": "headdim", "state_size": "d_state", "n_groups": "ngroups"}
OLDER |= {"conv_kernel": "d_conv", "use_bias": "bias", "use_conv_bias": "conv_bias"}
FIRST = {"heads": ("num_heads", None), "groups": ("n_groups", 1)}


def spec(c: Config) -> Spec:
    if read_activation(c) != "silu":
        raise c.error("hidden_act", "is not silu, which all such models have")
    c.take("time_step_rank", int | str, "auto")  # Mamba's, for which there is no place here
    options = c.inner("ssm_cfg")
    if options is not None:
        options.only("layer", "Mamba2")
    mixer = own.read_mixer(
        c,
        common.dim_of(c),
        FIELDS if options is None else FIELDS | FIRST,
        c.take("layer_norm_epsilon", float, 1e-5),
        take=lambda name, *how: common.field(c, name, OLDER.get(name, name), *how),
        limits=own.read_limits(c),
    )
    return common.read_model(c, mixer)


def config(s: Spec) -> dict[str, Any]:
    return common.write_model(s) | own.write_mixer(s, FIELDS) | own.write_limits(s)


KEYS = Keys(*common.OUTER_KEYS, *own.mixer_keys("backbone.layers.{i}.mixer"))

FAMILY = Family("mamba2", ("Mamba2ForCausalLM",), spec, config, KEYS)
