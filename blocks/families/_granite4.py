"""Granite 4's layers: which of them attend, with positions or without, and their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from blocks import Chain, MoE, Spec, TopKRouter, replace, rewrite
from blocks.families import _decoder as common
from blocks.families import granitemoeshared
from blocks.families._dialects import count, parts
from blocks.families._hybrids import check_attends, kinds_of
from blocks.families._layers import attentions, check_depth, check_words
from blocks.families._mamba2 import mixer_keys
from blocks.hub.config import Config
from blocks.hub.keys import Join, Keys

_LISTED, _SIZE, _TURNS = "layer_types", "shared_intermediate_size", "position_embedding_type"
# Their words, also those of the first files: our address.
_KINDS = {"linear_attention": "mixer", "full_attention": "attention"}
_FIRST = {"mamba": "mixer", "attention": "attention"}


def read_mlp(c: Config) -> Spec:
    """Experts beside one that every token passes, or that one alone."""
    size = c.take(_SIZE, int, 1024)
    if count(c, "num_local_experts", 8, low=0):
        moe = common.moe(c, Spec(TopKRouter), experts=8)
        return replace(moe, shared=replace(moe.keywords["expert"], hidden=size))
    for unused in ("intermediate_size", "num_experts_per_tok"):
        c.take(unused, int, 0, low=0)
    return common.gated_mlp(c, size=_SIZE)


def write_mlp(s: Spec) -> dict[str, Any]:
    """The fields that `read_mlp` is read from."""
    (mlp,) = set(parts(s.keywords["layers"], "mlp"))
    if mlp.func is not MoE:
        return common.write_mlp(mlp, size=_SIZE) | {"num_local_experts": 0}
    return common.write_moe(mlp) | {_SIZE: mlp.keywords["shared"].keywords["hidden"]}


def read_kinds(c: Config) -> list[str]:
    """The address of what comes first in each layer."""
    listed: Sequence[str] = c.take(_LISTED, tuple[str, ...], (), aliases=("layers_block_type",))
    known = _KINDS | _FIRST
    check_words(c, _LISTED, listed, known)
    if listed:
        check_depth(c, _LISTED, listed, count(c, "num_hidden_layers"))
    kinds = [known[kind] for kind in listed]
    check_attends(c, _LISTED, kinds)
    return kinds


def read_layers(c: Config, whole: Spec, mixer: Spec) -> Spec:
    """The model, most of whose layers begin with a mixer in the place of attention."""
    turns = c.take(_TURNS, str, "nope")
    if turns not in ("rope", "nope"):
        raise c.error(_TURNS, f"{turns!r} is neither 'rope' nor 'nope'")
    whole = whole if turns == "rope" else rewrite(whole, "layers.*.attention", _unturned)
    (layer,) = set(whole.keywords["layers"])
    steps = layer.keywords["steps"]
    first = replace(steps["attention"], inner=mixer)
    each = {"attention": layer, "mixer": Spec(Chain, steps={"mixer": first, "mlp": steps["mlp"]})}
    return replace(whole, layers=tuple(each[kind] for kind in read_kinds(c)))


def _unturned(attention: Spec) -> Spec:
    return replace(attention, qk=())


def write_layers(s: Spec) -> dict[str, Any]:
    """The fields that `read_layers` is read from."""
    words = {ours: theirs for theirs, ours in _KINDS.items()}
    turns = "rope" if attentions(s)[0].keywords["qk"] else "nope"
    return {_LISTED: [words[kind] for kind in kinds_of(s)], _TURNS: turns}


_THEIRS, _OURS = "model.layers.{i}.shared_mlp.", "layers.{i}.mlp."
KEYS = Keys(
    *granitemoeshared.RULES,
    *mixer_keys("model.layers.{i}.mamba"),
    ("model.layers.{i}.input_layernorm.{w}", "layers.{i}.mixer.norm_in.{w}"),
    Join(_THEIRS + "input_linear.weight", (_OURS + "gate.weight", _OURS + "up.weight")),
    (_THEIRS + "output_linear.weight", _OURS + "down.weight"),
    ignore=common.ROTARY_TABLES,
)
