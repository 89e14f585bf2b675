"""Jamba's two patterns, of attention and of experts; its Mamba layer; the names of all of it."""

from __future__ import annotations

import math
from typing import Any

from blocks import Mamba, MoE, Spec, at
from blocks.families import _decoder as common
from blocks.families._dialects import count, read_activation
from blocks.families._hybrids import check_attends, kinds_of, options_of
from blocks.families._mamba import selective_keys
from blocks.hub.config import Config
from blocks.hub.keys import Keys

_ATTENTION, _EXPERTS = ("attn_layer", 8, 4), ("expert_layer", 2, 1)


def _pattern(c: Config, name: str, period: int, offset: int) -> list[bool]:
    """For each layer whether it is one of every `period`, counted from `offset`."""
    period = c.take(f"{name}_period", int, period)
    offset = c.take(f"{name}_offset", int, offset, low=0)
    if offset >= period:
        raise c.error(f"{name}_offset", f"{offset} is beyond the period of {period}")
    return [i % period == offset for i in range(count(c, "num_hidden_layers"))]


def read_kinds(c: Config) -> tuple[list[str], list[bool]]:
    """The address of what comes first in each layer, and whether experts follow it."""
    attends, sparse = _pattern(c, *_ATTENTION), _pattern(c, *_EXPERTS)
    kinds = ["attention" if one else "mixer" for one in attends]
    check_attends(c, "num_hidden_layers", kinds)
    return kinds, sparse


def _write_pattern(name: str, kinds: list[bool]) -> dict[str, Any]:
    """The fields of a pattern, whose period is the depth where there is one such layer alone."""
    offset = kinds.index(True)
    after = [i for i, one in enumerate(kinds) if one and i > offset]
    period = after[0] - offset if after else len(kinds)
    return {f"{name}_offset": offset, f"{name}_period": period}


def write_kinds(s: Spec) -> dict[str, Any]:
    """The fields that `read_kinds` is read from, and those of the MLPs."""
    layers = s.keywords["layers"]
    fields = _write_pattern("attn_layer", [kind == "attention" for kind in kinds_of(s)])
    mlps = [at(layer, "mlp") for layer in layers]
    sparse = [mlp for mlp in mlps if mlp.func is MoE]
    if not sparse:
        return fields | common.write_mlp(mlps[0]) | {"num_experts": 1}
    pattern = _write_pattern("expert_layer", [mlp.func is MoE for mlp in mlps])
    return fields | pattern | common.write_moe(sparse[0], experts="num_experts")


def read_mixer(c: Config, dim: int, norm: Spec) -> Spec:
    """The Mamba layer, whose step lengths, b and c are normed."""
    rank = c.take("mamba_dt_rank", int | str, "auto")
    if isinstance(rank, str) and rank != "auto":
        raise c.error("mamba_dt_rank", f"{rank!r} is neither a number nor 'auto'")
    return Spec(
        Mamba,
        inner=c.take("mamba_expand", int, 2) * dim,
        state_dim=c.take("mamba_d_state", int, 16),
        kernel=c.take("mamba_d_conv", int, 4),
        rank=math.ceil(dim / 16) if rank == "auto" else rank,
        act=read_activation(c),
        bias=c.take("mamba_proj_bias", bool, False),
        conv_bias=c.take("mamba_conv_bias", bool, True),
        norm=norm,
    )


def write_mixer(s: Spec) -> dict[str, Any]:
    """The fields that `read_mixer` is read from."""
    options = options_of(s)
    if options is None:
        return {}
    return {
        "mamba_conv_bias": options["conv_bias"],
        "mamba_d_conv": options["kernel"],
        "mamba_d_state": options["state_dim"],
        "mamba_dt_rank": options["rank"],
        "mamba_expand": options["inner"] // s.keywords["dim"],
        "mamba_proj_bias": options["bias"],
    }


_NORMS = {"input_layernorm": ("attention", "mixer"), "pre_ff_layernorm": ("mlp",)}
RULES = (
    *common.END_KEYS,
    ("model.final_layernorm.{w}", "norm.{w}"),
    *common.QKV_KEYS,
    common.OUT_KEY,
    *(
        (f"model.layers.{{i}}.{theirs}.{{w}}", f"layers.{{i}}.{ours}.norm_in.{{w}}")
        for theirs, places in _NORMS.items()
        for ours in places
    ),
    *common.gated_keys(mlp="feed_forward"),
    ("model.layers.{i}.feed_forward.router.weight", "layers.{i}.mlp.router.weight"),
    *common.one_by_one_keys("feed_forward"),
    *common.stacked_keys("feed_forward"),
)
KEYS = Keys(*RULES, *selective_keys("model.layers.{i}.mamba"))
