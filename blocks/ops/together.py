"""Several matrices on the same input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from blocks.ops import learnt

__all__: list[str] = []


def together(x: Tensor, *parts: nn.Module) -> Sequence[Tensor]:
    """What each of some matrices makes of x: in one go where they are of a kind that can."""
    kind = type(parts[0])
    join = getattr(kind, "join", None)
    if join is None or any(type(part) is not kind or hooked(part) for part in parts):
        return [part(x) for part in parts]
    return join(parts, x)


def opened(x: Tensor, gate: nn.Module, up: nn.Module, act: Callable[[Tensor], Tensor]) -> Tensor:
    """act(gate x) ⊙ up x: in one go where the matrices are of a kind that can."""
    kind = type(gate)
    made = getattr(kind, "opened", None)
    if made is None or type(up) is not kind or hooked(gate) or hooked(up):
        left, right = together(x, gate, up)
        return learnt.gated(act, left, right)
    return made(gate, up, x, act)


def hooked(part: nn.Module) -> bool:
    """Whether somebody wants to see its calls."""
    return bool(part._forward_hooks or part._forward_pre_hooks)
