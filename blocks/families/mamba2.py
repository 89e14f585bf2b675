"""Mamba-2, from files of transformers and from the authors', whose config has no model_type.

Dao and Gu, "Transformers are SSMs", 2024, arXiv:2405.21060.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from blocks import RMSNorm, Spec
from blocks.families import _backbone as common
from blocks.families import _mamba2 as own
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys

FIELDS: own.Fields = {"heads": ("num_heads", 128), "head_dim": ("head_dim", 64)}
FIELDS |= {"state_dim": ("state_size", 128), "groups": ("n_groups", 8), "expand": ("expand", 2)}
FIELDS |= {"bias": ("use_bias", False), "conv_bias": ("use_conv_bias", True)}
FIELDS |= {"kernel": ("conv_kernel", 4), "chunk": ("chunk_size", 256)}
LEAST = {"num_heads": 16, "hidden_size": 512}
# Where the first files say something, or mean something else by saying nothing.
OLDER = {"head_dim": "headdim", "state_size": "d_state", "n_groups": "ngroups"}
OLDER |= {"conv_kernel": "d_conv", "use_bias": "bias", "use_conv_bias": "conv_bias"}
OLDER |= {"time_step_limit": "dt_limit"}
ONLY = {"layer": "Mamba2", "D_has_hdim": False, "rmsnorm": True, "norm_before_gate": False}
FIRST = {"heads": ("num_heads", None), "groups": ("n_groups", 1)}


def spec(c: Config) -> Spec:
    own.read_silu(c)
    c.take(
        "time_step_rank", int | Literal["auto"], "auto"
    )  # Mamba's, for which there is no place here
    c.take("norm_before_gate", bool, False)  # which the reference leaves unread
    dim, eps, first = common.read_dim(c), c.take("layer_norm_epsilon", float, 1e-5), {}
    options = c.inner("ssm_cfg")
    if options is not None:
        first = FIRST
        for name, value in ONLY.items():
            options.only(name, value)
        options.take("A_init_range", tuple[float, float], (1.0, 16.0))  # of fresh weights
    take = partial(take_option, c)
    mixer = own.read_mixer(c, dim, FIELDS | first, eps, take=take, limits=own.read_limits(c, take))
    return common.read_backbone(c, mixer, Spec(RMSNorm, eps=eps), dim)


def take_option(c: Config, name: str, *how: Any) -> Any:
    """An option of the mixer, wherever it stands."""
    return common.read_option(c, name, OLDER.get(name, name), *how)


def config(s: Spec) -> dict[str, Any]:
    return common.write_backbone(s) | own.write_mixer(s, FIELDS) | own.write_limits(s)


KEYS = Keys(*common.BACKBONE_KEYS, *own.mixer_keys("backbone.layers.{i}.mixer"))

FAMILY = Family("mamba2", ("Mamba2ForCausalLM",), spec, config, KEYS, shortest=LEAST)
