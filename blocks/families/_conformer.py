"""What Conformers share: a layer between two halves of an MLP, and its tensor names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks import MLP, Chain, ConvModule, LayerNorm, Residual, Spec, at
from blocks.families._dialects import write_activation

STEPS = ("mlp_before", "attention", "conv", "mlp")


def conformer(attention: Spec, mlp: Spec, conv: Spec, rates: Sequence[float] = (0.0,) * 4) -> Spec:
    """x + ½ mlp, + attention, + conv, + ½ mlp, each of a norm of x; then a norm of it all.

    Gulati et al., "Conformer", 2020, arXiv:2005.08100.

    Args:
        attention, mlp, conv: the blocks; both MLPs are alike.
        rates: the dropout after each of STEPS.
    """
    norm, steps = Spec(LayerNorm), {}
    for name, block, rate in zip(STEPS, (mlp, attention, conv, mlp), rates, strict=True):
        around: dict[str, Any] = {"norm_in": norm, "dropout": rate}
        if block.func is MLP:
            around["scale"] = 0.5
        if name == STEPS[-1]:
            around["norm_after"] = norm
        steps[name] = Spec(Residual, inner=block, **around)
    return Spec(Chain, steps=steps)


def rates(s: Spec) -> dict[str, float]:
    """The dropout after each step of the first layer."""
    steps = s.keywords["layers"][0].keywords["steps"]
    return {name: steps[name].keywords["dropout"] for name in STEPS}


def write_mlp(s: Spec) -> dict[str, Any]:
    """The fields of the MLPs, and of the size and number of layers."""
    mlp = at(s, "layers.0.mlp").keywords
    return {
        "activation_dropout": mlp["dropout"],
        "hidden_act": write_activation(mlp["act"]),
        "hidden_size": s.keywords["dim"],
        "intermediate_size": mlp["hidden"],
        "num_hidden_layers": len(s.keywords["layers"]),
    }


def layer_keys(prefix: str, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """The names of a layer's parts.

    Args:
        prefix: of the layers, with the template of their number.
        names: theirs of each of STEPS and of its norm (`attention.norm_in`), of the two
            projections of an MLP (`up`, `down`), of those of attention, and of the convolutions
            and the norm of the module (`conv.up` ...).
    """
    rules = [(f"{prefix}{names['norm_after']}.{{w}}", "layers.{i}.mlp.norm_after.{w}")]
    for step in STEPS:
        theirs, ours = prefix + names[step], f"layers.{{i}}.{step}"
        rules.append((f"{prefix}{names[step + '.norm_in']}.{{w}}", f"{ours}.norm_in.{{w}}"))
        if step.startswith("mlp"):
            parts = {part: names[part] for part in ("up", "down")}
        else:
            mark = step + "."
            parts = {n.removeprefix(mark): t for n, t in names.items() if n.startswith(mark)}
        for part, name in parts.items():
            if part in ("content_bias", "position_bias"):
                rules.append((f"{theirs}.{name}", f"{ours}.{part}"))
            elif part != "norm_in":
                rules.append((f"{theirs}.{name}.{{w}}", f"{ours}.{part}.{{w}}"))
    for part, name in (("mean", "running_mean"), ("variance", "running_var")):
        norm = f"{prefix}{names['conv']}.{names['conv.norm']}"
        rules.append((f"{norm}.{name}", f"layers.{{i}}.conv.norm.{part}"))
    return rules


def counted(prefix: str, names: Mapping[str, str]) -> str:
    """How many batches a batch norm has seen, of which nothing depends."""
    return f"{prefix}{names['conv']}.{names['conv.norm']}.num_batches_tracked"


def conv_module(kernel: int, act: Any, *, bias: bool) -> Spec:
    """The convolution module."""
    return Spec(ConvModule, kernel=kernel, act=act, bias=bias)
