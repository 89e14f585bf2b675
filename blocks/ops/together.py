"""Several matrices on the same input."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

__all__: list[str] = []


def together(x: Tensor, *parts: nn.Module) -> Sequence[Tensor]:
    """What each of some matrices makes of x: in one go where they are of a kind that can."""
    kind = type(parts[0])
    join = getattr(kind, "join", None)
    if join is None or any(type(part) is not kind or _hooked(part) for part in parts):
        return [part(x) for part in parts]
    return join(parts, x)


def _hooked(part: nn.Module) -> bool:
    """Whether somebody wants to see its calls."""
    return bool(part._forward_hooks or part._forward_pre_hooks)
