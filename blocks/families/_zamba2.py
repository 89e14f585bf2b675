"""Zamba2's layers: Mamba-2's, some of which are told what a shared transformer block finds."""

from __future__ import annotations

import math
from typing import Any

from blocks import (
    Chain,
    GatedMLP,
    GQAttention,
    Linear,
    Load,
    LowRank,
    Normed,
    Residual,
    RoPE,
    Spec,
    at,
    walk,
)
from blocks.families._decoder import write_mlp
from blocks.families._dialects import count, read_activation, read_or_null
from blocks.families._layers import check_depth
from blocks.families._mamba2 import Fields, mixer_keys
from blocks.families._names import END_KEYS, ROTARY_TABLES
from blocks.hub.config import Config
from blocks.hub.keys import Join, Keys, Rule

EMBEDDING = "embedding"
LEAST = {"num_hidden_layers": 54}  # as many as the usual list of them has
MIXER: Fields = {
    "heads": ("n_mamba_heads", 8),
    "head_dim": ("mamba_headdim", "auto"),
    "state_dim": ("mamba_d_state", 64),
    "groups": ("mamba_ngroups", 1),
    "expand": ("mamba_expand", 2),
    "kernel": ("mamba_d_conv", 4),
    "bias": ("add_bias_linear", False),
    "chunk": ("chunk_size", 256),
}
_PLAIN, _HYBRID = "linear_attention", "hybrid"
_USUAL = frozenset((6, 12, 18, 24, 30, 36, 42, 47, 51))
_ON = ("q", "k", "v")


def read_hybrids(c: Config) -> list[str | None]:
    """For each layer the name of the shared block that it has, if it has one."""
    depth = count(c, "num_hidden_layers")
    usual = tuple(_HYBRID if i in _USUAL else _PLAIN for i in range(54))
    kinds = c.take("layers_block_type", tuple[str, ...], usual, aliases=("layer_types",))
    check_depth(c, "layers_block_type", kinds, depth)
    unknown = set(kinds) - {_PLAIN, _HYBRID, "mamba"}
    if unknown:
        reason = f"{min(unknown)!r} is not known"
        raise c.error("layers_block_type", reason, f"known: {_PLAIN}, {_HYBRID}")
    places = [i for i, kind in enumerate(kinds) if kind == _HYBRID]
    if not places:
        raise c.error("layers_block_type", f"none of {depth} layers is hybrid")
    if list(c.take("hybrid_layer_ids", tuple[int, ...], places)) != places:
        raise c.error("hybrid_layer_ids", f"layers_block_type says {places}")
    blocks = count(c, "num_mem_blocks", 1)
    names = {i: f"shared{n % blocks}" for n, i in enumerate(places)}
    return [names.get(i) for i in range(depth)]


def read_shared(c: Config, dim: int, norm: Spec, qk: tuple[Spec, ...]) -> Spec:
    """A shared block, with what each layer adds to its matrices of its own."""
    heads = c.take("num_attention_heads", int)
    kv_heads = read_or_null(c, "num_key_value_heads", None) or heads
    width = c.take("attention_head_dim", int, 2 * dim // heads, aliases=("head_dim",))
    if heads * width != 2 * dim:
        raise c.error("num_attention_heads", f"{heads} heads of {width} are not twice {dim}")
    rank = c.take("adapter_rank", int, 128)
    attention = Spec(
        GQAttention,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=width,
        out_dim=dim,
        qk=qk,
        scale=math.sqrt(2 / width),
        dropout=c.take("attention_dropout", float, 0.0),
    )
    if c.take("use_shared_attention_adapter", bool, False):
        attention = Spec(LowRank, inner=attention, on=_ON, rank=rank)
    hidden, bias = c.take("intermediate_size", int, 4 * dim), c.take("add_bias_linear", bool, False)
    mlp = Spec(GatedMLP, hidden=hidden, act=read_activation(c, default="gelu"), bias=bias)
    mlp = Spec(LowRank, inner=mlp, on=("gate", "up"), rank=rank)
    steps = {
        "attention": Spec(Load, name=EMBEDDING, inner=Spec(Normed, inner=attention, norm_in=norm)),
        "mlp": Spec(Normed, inner=mlp, norm_in=norm),
        "out": Spec(Linear),
    }
    return Spec(Chain, steps=steps)


def hybrid(name: str, shared: Spec, mixer: Spec, norm: Spec) -> Spec:
    """x + mixer(norm(x + shared [x, embedding]))"""
    steps = {
        name: Spec(Residual, inner=shared),
        "mixer": Spec(Normed, inner=mixer, norm_in=norm),
    }
    return Spec(Residual, inner=Spec(Chain, steps=steps))


def hybrids(s: Spec) -> dict[int, str]:
    """The layers that have a shared block, and its name."""
    steps = [(i, at(layer, "").keywords["steps"]) for i, layer in enumerate(s.keywords["layers"])]
    return {i: name for i, names in steps for name in names if name.startswith("shared")}


def write_layers(s: Spec) -> dict[str, Any]:
    """The fields that `read_hybrids` and `read_shared` are read from."""
    places = hybrids(s)
    first, name = next(iter(places.items()))
    layer, depth = s.keywords["layers"][first], len(s.keywords["layers"])
    attention, mlp = (at(layer, f"{name}.{part}") for part in ("attention", "mlp"))
    ranks = {
        part.keywords["on"]: part.keywords["rank"]
        for _, part in walk(layer)
        if "on" in part.keywords
    }
    return write_mlp(mlp) | {
        "adapter_rank": next(iter(ranks.values())),
        "add_bias_linear": mlp.keywords["bias"],
        "attention_dropout": attention.keywords["dropout"],
        "hybrid_layer_ids": list(places),
        "layers_block_type": [_HYBRID if i in places else "mamba" for i in range(depth)],
        "num_attention_heads": attention.keywords["heads"],
        "num_hidden_layers": depth,
        "num_key_value_heads": attention.keywords["kv_heads"],
        "num_mem_blocks": len(set(places.values())),
        "use_mem_rope": any(part.func is RoPE for part in attention.keywords["qk"]),
        "use_shared_attention_adapter": _ON in ranks,
    }


_NORMS = (("input_layernorm", "attention"), ("pre_ff_layernorm", "mlp"))
_MATRICES = (
    *((f"self_attn.{w}_proj", f"attention.{w}") for w in _ON),
    ("self_attn.o_proj", "attention.out"),
)


def sources(s: Spec) -> dict[str, int]:
    """The first layer of each shared block."""
    return {name: i for i, name in reversed(hybrids(s).items())}


def keys(s: Spec) -> Keys:
    """The names of all tensors: what is shared, by those of the first layer that has it."""
    rules: list[tuple[str, str] | Rule] = []
    first = sources(s)
    for i, name in ((i, name) for name, i in first.items()):
        theirs, ours = f"model.layers.{i}.shared_transformer", f"layers.{i}.{name}"
        rules += [(f"{theirs}.{a}.weight", f"{ours}.{b}.norm_in.weight") for a, b in _NORMS]
        rules += [(f"{theirs}.{a}.weight", f"{ours}.{b}.weight") for a, b in _MATRICES]
        rules += [(f"{theirs}.feed_forward.down_proj.{{w}}", f"{ours}.mlp.down.{{w}}")]
        both = (f"{ours}.mlp.gate.{{w}}", f"{ours}.mlp.up.{{w}}")
        rules += [Join(f"{theirs}.feed_forward.gate_up_proj.{{w}}", both)]
    for n, (i, name) in enumerate(hybrids(s).items()):
        theirs, ours = f"model.layers.{first[name]}.shared_transformer", f"layers.{i}.{name}"
        for w in _ON:
            adapter = f"{theirs}.self_attn.linear_{w}_adapter_list.{n}"
            rules += [(f"{adapter}.0.weight", f"{ours}.attention.{w}.a.weight")]
            rules += [(f"{adapter}.1.weight", f"{ours}.attention.{w}.b.weight")]
        adapter = f"{theirs}.feed_forward.gate_up_proj_adapter_list.{n}"
        rules += [(f"{adapter}.0.weight", f"{ours}.mlp.gate.a.weight")]
        both = (f"{ours}.mlp.gate.b.weight", f"{ours}.mlp.up.b.weight")
        rules += [Join(f"{adapter}.1.weight", both)]
        rules += [(f"model.layers.{i}.linear.weight", f"{ours}.out.weight")]
        decoder = f"model.layers.{i}.mamba_decoder"
        rules += [(f"{decoder}.input_layernorm.weight", f"layers.{i}.mixer.norm_in.weight")]
        rules += [(a, b.replace("{i}", str(i))) for a, b in mixer_keys(f"{decoder}.mamba")]
    plain = "model.layers.{i}.input_layernorm.weight", "layers.{i}.mixer.norm_in.weight"
    ends = (*END_KEYS, ("model.final_layernorm.weight", "norm.weight"))
    mixers = (*mixer_keys("model.layers.{i}.mamba"), plain)
    return Keys(*ends, *rules, *mixers, ignore=ROTARY_TABLES)


def ties(s: Spec) -> tuple[tuple[str, str], ...]:
    """What a shared block's later layers have of the first; the head; one adapter's two halves."""
    first, found = sources(s), [("head.weight", "embedding.weight")]
    weights = [f"{ours}.weight" for _, ours in _MATRICES]
    weights += [f"{part}.norm_in.weight" for _, part in _NORMS]
    weights += [
        f"mlp.{part}.{kind}" for part in ("gate", "up", "down") for kind in ("weight", "bias")
    ]
    for i, name in hybrids(s).items():
        here, there = f"layers.{i}.{name}", f"layers.{first[name]}.{name}"
        found += [(f"{here}.{w}", f"{there}.{w}") for w in weights if here != there]
        found += [(f"{here}.mlp.up.a.weight", f"{here}.mlp.gate.a.weight")]
    return tuple(found)
