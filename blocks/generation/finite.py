"""When logits are not finite: which tensor of the model is to blame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.models.places import addresses, modules


def check_finite(
    model: nn.Module, logits: Tensor, again: Callable[[], Any], what: str = "logits"
) -> None:
    """Refuses logits with NaN or infinity and names the first bad tensor.

    Args:
        model: whose tensors are looked at.
        logits: what it gave.
        again: runs it once more, to watch its parts.
        what: what they are called.
    """
    if bool(torch.isfinite(logits.sum())) or bool(torch.isfinite(logits).all()):
        return
    for address, tensor in addresses(model).items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise GenerationError(
                f"the {what} are not finite: this tensor holds NaN or infinity",
                tensor=address,
                hint="from_pretrained(..., check_finite=True) finds such weights on loading",
            )
    block = _first_bad_output(model, again)
    blamed = (
        "this block's output is the first that isn't" if block else "all was well in the prompt"
    )
    raise GenerationError(
        f"the {what} are not finite although all weights are: {blamed}",
        tensor=block,
        hint="load with a wider dtype, torch.float32 for instance",
    )


def _first_bad_output(model: nn.Module, again: Callable[[], Any]) -> str | None:
    found: list[str] = []

    def watch(address: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                found.append(address)

        return hook

    hooks = [m.register_forward_hook(watch(a)) for a, m in modules(model) if not list(m.children())]
    try:
        again()
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None
