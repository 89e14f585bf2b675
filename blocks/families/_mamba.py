"""Mamba's layer in config.json and in files, for all families that have one."""

from __future__ import annotations

import math
from typing import Any

from blocks import Mamba, Spec
from blocks.families._backbone import read_dim, read_option
from blocks.families._dialects import read_activation, write_activation
from blocks.families._mamba2 import mixer_keys
from blocks.hub.config import Config


def read_selective(c: Config, norm: Spec | None = None) -> Spec:
    """A Mamba layer, whose step lengths, b and c may be normed."""
    dim = read_dim(c)
    rank = read_option(c, "time_step_rank", "dt_rank", int | str, "auto")
    if isinstance(rank, str) and rank != "auto":
        raise c.error("time_step_rank", f"{rank!r} is neither a number nor 'auto'")
    expand = read_option(c, "expand", "expand", float, 2.0)
    if expand <= 0:
        raise c.error("expand", f"{expand} is not above zero")
    return Spec(
        Mamba,
        inner=c.take("intermediate_size", int, int(expand * dim), aliases=("d_inner",)),
        state_dim=read_option(c, "state_size", "d_state", int, 16),
        kernel=read_option(c, "conv_kernel", "d_conv", int, 4),
        rank=math.ceil(dim / 16) if rank == "auto" else rank,
        act=read_activation(c),
        bias=read_option(c, "use_bias", "bias", bool, False),
        conv_bias=read_option(c, "use_conv_bias", "conv_bias", bool, True),
        norm=norm,
    )


def write_selective(mixer: Spec) -> dict[str, Any]:
    """The fields that `read_selective` is read from."""
    options = mixer.keywords
    return {
        "conv_kernel": options["kernel"],
        "hidden_act": write_activation(options["act"]),
        "intermediate_size": options["inner"],
        "state_size": options["state_dim"],
        "time_step_rank": options["rank"],
        "use_bias": options["bias"],
        "use_conv_bias": options["conv_bias"],
    }


def selective_keys(theirs: str) -> tuple[tuple[str, str], ...]:
    """The names of a Mamba layer's tensors, by what its own name is."""
    own = {"x_proj": "select", "dt_proj": "dt"}
    own |= {f"{part}_layernorm": f"norms.{n}" for n, part in enumerate(("dt", "b", "c"))}
    more = ((f"{theirs}.{t}.{{w}}", f"layers.{{i}}.mixer.{ours}.{{w}}") for t, ours in own.items())
    return (*mixer_keys(theirs), *more)
