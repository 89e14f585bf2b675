"""MLP for MLP: wider, narrower, gated or not; and for a mixture of experts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from blocks.carry import Lines
from blocks.mlp.clamped import ClampedGLU
from blocks.mlp.gated import GatedMLP
from blocks.mlp.plain import MLP
from blocks.moe.moe import MoE
from blocks.moe.sigmoid_router import SigmoidRouter
from blocks.moe.softmax_router import SoftmaxRouter

Gated = GatedMLP | ClampedGLU


def plain(old: MLP, new: MLP) -> Lines:
    """The same neurons; fewer, or more that add nothing yet, where the width is another."""
    if old.down.weight.shape == new.down.weight.shape:
        yield "", old
    elif _same_dim(old, new):
        yield from _neurons(old, new, {"up": "up"})
        if isinstance(old.act, nn.Module) and isinstance(new.act, nn.Module):
            yield "act", old.act


def gated(old: Gated, new: Gated) -> Lines:
    """As of a plain one."""
    if old.down.weight.shape == new.down.weight.shape:
        yield "", old
    elif _same_dim(old, new):
        yield from _neurons(old, new, {"gate": "gate", "up": "up"})


def opened(old: MLP, new: Gated) -> Lines:
    """act(W x) becomes the gate. What it multiplies is one where there is a bias to say so."""
    if not _same_dim(old, new):
        return
    yield from _neurons(old, new, {"gate": "up"})
    if new.up.bias is not None:
        yield "up.weight", torch.zeros(new.up.weight.shape), "zero: only its bias counts"
        yield "up.bias", torch.ones(new.up.bias.shape), "one: what the gate is multiplied with"


def closed(old: Gated, new: MLP) -> Lines:
    """The gate is what an activation follows; what it multiplied has no place."""
    if _same_dim(old, new):
        yield from _neurons(old, new, {"up": "gate"})


def upcycled(old: MLP | Gated, new: MoE) -> Lines:
    """Every expert is the MLP, or as much of it as it has room for; the router is new.

    Sparse upcycling, Komatsuzaki et al., 2022, arXiv:2212.05055. Where a shared expert or the
    router's weights would make the sum larger or smaller than the MLP's, `down` makes up for it.
    """
    many, weight = len(new.experts), _weight(new)
    always = 0.0 if new.shared is None else 0.5 if new.shared_gate is not None else 1.0
    gain = 1 / (new.scale * (weight + always))
    for i, expert in enumerate(new.experts):
        yield from _copy(old, expert, f"experts.{i}", gain, i, f"copy {i + 1} of {many}")
    if new.shared is not None:
        yield from _copy(old, new.shared, "shared", gain, 0, "a copy for all tokens")
    if new.shared_gate is not None:
        yield "shared_gate.weight", torch.zeros(new.shared_gate.weight.shape), "zero: half open"


def averaged(old: MoE, new: MLP | Gated) -> Lines:
    """The mean of the experts, where they are such MLPs."""
    first: Any = old.experts[0]
    wanted = {name: tensor.shape for name, tensor in new.named_parameters()}
    held = {name: tensor.shape for name, tensor in first.named_parameters()}
    if type(first) is type(new) and held == wanted:
        each = [dict(expert.named_parameters()) for expert in old.experts]
        for name in wanted:
            mean = torch.stack([one[name] for one in each]).mean(0)
            yield name, mean, f"mean of {len(each)} experts"


def _weight(moe: MoE) -> float:
    """What the chosen experts' weights sum to, as far as a fresh router lets it be known."""
    router: Any = moe.router
    if not isinstance(router, SoftmaxRouter | SigmoidRouter):
        return 1.0
    if router.renormalize:
        return router.scale
    each = 1 / len(moe.experts) if isinstance(router, SoftmaxRouter) else 0.5
    return router.scale * router.top_k * each


def _same_dim(old: Any, new: Any) -> bool:
    widths = [(mlp.up.weight.shape[1], mlp.down.weight.shape[0]) for mlp in (old, new)]
    return widths[0] == widths[1]


def _copy(old: Any, new: Any, place: str, gain: float, at: int, words: str) -> Lines:
    """An MLP as an expert: all neurons, or every expert the next few of them."""
    both = isinstance(old, MLP), isinstance(new, MLP)
    if not isinstance(new, MLP | GatedMLP | ClampedGLU) or not _same_dim(old, new):
        return
    if both[0] == both[1]:
        names = {"up": "up"} if both[0] else {"gate": "gate", "up": "up"}
    else:
        names = {"gate": "up"} if both[0] else {"up": "gate"}
    for name, tensor, told in _neurons(old, new, names, gain, at):
        yield f"{place}.{name}", tensor, ", ".join(part for part in (words, told) if part)
    if both == (True, False) and new.up.bias is not None:
        yield f"{place}.up.weight", torch.zeros(new.up.weight.shape), "zero: only its bias counts"
        yield f"{place}.up.bias", torch.ones(new.up.bias.shape), "one"
    if isinstance(new.act, nn.Module) and isinstance(old.act, nn.Module):
        yield f"{place}.act", old.act


def _neurons(
    old: Any, new: Any, names: dict[str, str], gain: float = 1.0, at: int | None = None
) -> Any:
    """The matrices of an MLP of another width: names in the new one -> in the old one.

    Neurons that are too many for the new one are left out, the weakest first, or, where a mixture
    has places for them, all but the `at`-th few. Where there are too few they come again, and
    nothing reads them.
    """
    many, room = old.down.weight.shape[1], new.down.weight.shape[1]
    index, told, share = None, "", gain
    if room > many:
        index = torch.arange(room) % many
        told = f"{many} neurons, and {room - many} that nothing reads yet"
    elif room < many and at is None:
        index = _strength(old, names).topk(room).indices.sort().values
        told = f"the {room} strongest of {many} neurons"
    elif room < many and at is not None:
        parts = -(-many // room)
        index = (torch.arange(room) + at % parts * room) % many
        told, gain = f"{room} of {many} neurons", gain * parts
    for name, source in names.items():
        ours, theirs = getattr(new, name), getattr(old, source)
        yield f"{name}.weight", _rows(theirs.weight, index), told
        if ours.bias is not None and theirs.bias is not None:
            yield f"{name}.bias", _rows(theirs.bias, index), told
        elif ours.bias is not None:
            yield f"{name}.bias", torch.zeros(room), "zero: there was none"
    down = old.down.weight if index is None else old.down.weight[:, index]
    if room > many:
        down = torch.cat([old.down.weight, torch.zeros_like(down[:, many:])], 1)
    times = "" if gain == 1.0 else f"times {gain:.3g}"
    read = "" if room > many else told
    read = ", ".join(part for part in (read, times) if part)
    yield "down.weight", down if gain == 1.0 else down * gain, read
    if new.down.bias is not None and old.down.bias is not None:
        bias = old.down.bias if share == 1.0 else old.down.bias * share
        yield "down.bias", bias, "" if share == 1.0 else f"times {share:.3g}"
    elif new.down.bias is not None:
        yield "down.bias", torch.zeros(new.down.bias.shape), "zero: there was none"


def _rows(tensor: Tensor, index: Tensor | None) -> Tensor:
    return tensor if index is None else tensor[index.to(tensor.device)]


def _strength(old: Any, names: dict[str, str]) -> Tensor:
    """How much a neuron can say: the sizes of what it reads with and of what reads it."""
    sizes = [getattr(old, name).weight.detach().norm(dim=1) for name in names.values()]
    return torch.stack([*sizes, old.down.weight.detach().norm(dim=0)]).log().sum(0)
