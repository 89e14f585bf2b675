"""What a change of a model does to its logits, asked of both on the same text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.generation.origin import tokenizer_of
from blocks.models.causal import CausalLM
from blocks.models.halves import Halves
from blocks.surgery.swapping.swapped import LogitChange

__all__: list[str] = []


def change_on(probe: Any, old: Any, new: Any) -> LogitChange | None:
    """How the answers of two models differ; None where they are of other shapes.

    Errors:
        SpecError: a probe that is neither text nor ids.
    """
    inputs = _inputs(probe, old)
    before, after = (_answer(model, inputs) for model in (old, new))
    if before.shape != after.shape:
        return None
    differ = (after - before).abs()
    found = {"largest": float(differ.max()), "mean": float(differ.mean())}
    tokens = inputs[-1].numel()
    if before.shape[-1] != getattr(old, "vocab", None):
        return LogitChange(tokens, **found)
    p, q = before.log_softmax(-1), after.log_softmax(-1)
    found["kl"] = float((p.exp() * (p - q)).sum(-1).mean())
    found["agreement"] = float((before.argmax(-1) == after.argmax(-1)).double().mean())
    if isinstance(old, CausalLM) and inputs[0].shape[1] > 1:
        targets = inputs[0][:, 1:].flatten()
        found["loss_before"], found["loss_after"] = (
            float(F.nll_loss(one[:, :-1].flatten(0, 1), targets)) for one in (p, q)
        )
    return LogitChange(tokens, **found)


def _inputs(probe: Any, model: Any) -> tuple[Tensor, ...]:
    if isinstance(probe, tuple):
        if not probe or not all(isinstance(one, Tensor) for one in probe):
            raise SpecError("is a tuple, but not of tensors", field="probe")
        return probe
    if isinstance(probe, str):
        probe = tokenizer_of(model).encode(probe)
    try:
        tokens = torch.as_tensor(probe)
    except (TypeError, ValueError, RuntimeError):
        raise SpecError("is neither a text nor token ids", field="probe") from None
    tokens = tokens[None] if tokens.dim() == 1 else tokens
    first = next(model.parameters(), None)
    return (tokens if first is None else tokens.to(first.device),)


def _answer(model: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    if isinstance(model, Halves) and len(inputs) == 1:
        hint = "probe=(source, target)"
        raise SpecError("is one text, and this model reads two", field="probe", hint=hint)
    with at_rest(model), torch.no_grad():
        answer = model(*inputs)
    answer = answer if isinstance(answer, Tensor) else answer[0]
    return answer.to(torch.promote_types(answer.dtype, torch.float32))


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and afterwards each part in its own again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
