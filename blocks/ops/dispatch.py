"""Tokens to their experts and back: the plain reference, and the path that runs only the chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._guards import detect_fake_mode

from blocks.errors import SpecError
from blocks.ops.check import check_positive
from blocks.ops.constant import constant
from blocks.ops.watch import noted, wanted

__all__: list[str] = []

Expert = Callable[[Tensor], Tensor]


def dispatch(x: Tensor, weights: Tensor, chosen: Tensor, experts: Iterable[Expert]) -> Tensor:
    r"""y_n = Σ_j weights_nj · expert_{chosen_nj}(x_n), each expert run once, on its own tokens.

    Every product is rounded to the dtype of x and a token's products are added in the order of
    the experts, so the result is the same to the last bit from run to run.

    Args:
        x: [N D].
        weights: [N k].
        chosen: [N k] int, k different experts a token.
        experts: functions [n D] -> [n D]; one that no token chose is not called, but in a graph,
            which has every expert and gives it no token.
    """
    if x.is_meta:
        return dispatch_plain(x, weights, chosen, experts)  # no choices to look at
    known = not torch.compiler.is_compiling()
    if not (known or _may_hold_unknown_numbers()):
        # Every call has parts of other sizes, and a graph for each would be compiled in vain.
        uncompiled: Any = torch.compiler.disable(dispatch)
        return uncompiled(x, weights, chosen, experts)
    experts, k = list(experts), chosen.shape[1]
    weights, names, by_expert = in_order(weights, chosen)
    firsts = torch.arange(len(experts) + 1, dtype=names.dtype, device=names.device)
    counts = torch.searchsorted(names, firsts).diff().tolist()
    parts = x.repeat_interleave(k, 0)[by_expert].split(counts)  # n D each
    pairs = zip(experts, parts, strict=True)
    found = [expert(part) for expert, part in pairs if not known or len(part)]
    return summed(torch.cat([x[:0], *found]), by_expert, weights, x)  # N D


def in_order(weights: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The weights [N k] in the order of each token's experts, all of their names [N·k] in order,
    and which pair of a token and an expert each of these was.
    """
    chosen, order = chosen.sort(-1)
    names, by_expert = chosen.flatten().sort(stable=True)  # N·k
    return weights.gather(-1, order), names, by_expert


def summed(found: Tensor, by_expert: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    """What experts have made [N·k D], weighted and added up for each token [N D]."""
    k = weights.shape[1]
    rows = found[by_expert.argsort()].unflatten(0, (len(x), k))  # N k D
    rows = (rows * weights[..., None]).to(x.dtype)
    y = rows[:, 0]
    for j in range(1, k):
        y = y + rows[:, j]
    return y  # N D


@constant
def _may_hold_unknown_numbers() -> bool:
    """Whether the graph in the making may hold sizes that are known only at run time.

    `torch.compile(fullgraph=True)` and `torch.export` ask for it.
    """
    mode = detect_fake_mode()
    shapes = None if mode is None else mode.shape_env
    return shapes is not None and shapes.allow_scalar_outputs


def router_logits(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """W x + b in at least float32: experts that are nearly as good as each other change places
    where 16 bits round their scores.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    return F.linear(x.to(wide), weight.to(wide), None if bias is None else bias.to(wide))  # N X


def dispatch_plain(x: Tensor, weights: Tensor, chosen: Tensor, experts: Iterable[Expert]) -> Tensor:
    """The same as `dispatch`, written as the equation: every expert on every token."""
    y = torch.zeros_like(x)
    for i, expert in enumerate(experts):
        weight = torch.where(chosen == i, weights, 0).sum(-1, keepdim=True)  # N 1
        y = y + (expert(x) * weight).to(x.dtype)
    return y  # N D


def routed(
    weights: Tensor, chosen: Tensor, experts: int, shape: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Weights and choices [N k] as they are, or as whoever looks at the routing leaves them.

    The routing [B T X] holds the weight of each expert, 0 for one that is not chosen.
    """
    if not wanted("routing"):
        return weights, chosen
    routing = weights.new_zeros(len(weights), experts).scatter(1, chosen, weights)
    before = routing.unflatten(0, tuple(shape))
    (after,) = noted(routing=before)
    rows = after.flatten(0, 1)  # N X
    if after is before:
        return rows.gather(1, chosen), chosen
    most = max(1, int((rows != 0).sum(1).max()))
    weights, chosen = rows.topk(most, 1)
    return weights, chosen


def best_groups(scores: Tensor, groups: int, kept_groups: int, best: int) -> Tensor:
    """Scores [N X] at −∞ outside the `kept_groups` best of `groups` equal groups of experts.

    A group is as good as the sum of its `best` highest scores.
    """
    if groups == kept_groups:
        return scores
    parts = scores.unflatten(-1, (groups, -1))  # N G X/G
    value = parts.topk(best, -1).values.sum(-1)  # N G
    kept = value.topk(kept_groups, -1).indices
    dropped = torch.ones_like(value, dtype=torch.bool).scatter(-1, kept, False)
    return parts.masked_fill(dropped[..., None], -math.inf).flatten(-2)  # N X


def check_choice(
    block: str,
    experts: int,
    top_k: int,
    groups: int = 1,
    kept_groups: int = 1,
    best: int = 1,
    **above_zero: float,
) -> None:
    """Refuses a choice of `top_k` experts that can't be made among the kept groups, and what else
    of a router is not above zero.
    """
    sizes = {"experts": experts, "top_k": top_k, "groups": groups, "kept_groups": kept_groups}
    check_positive(block, **above_zero, **sizes)
    if experts % groups or experts // groups < best:
        raise SpecError(
            f"{experts} experts don't form {groups} equal groups of at least {best}",
            field=f"{block}.groups",
        )
    if kept_groups > groups:
        raise SpecError(
            f"{kept_groups} groups can't be kept of {groups}", field=f"{block}.kept_groups"
        )
    if top_k > experts // groups * kept_groups:
        raise SpecError(
            f"{top_k} experts can't be chosen among {experts // groups * kept_groups}",
            field=f"{block}.top_k",
        )
