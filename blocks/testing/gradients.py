"""Promises of every block: gradients are those of finite differences, and theirs too."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from blocks.testing.subject import Called, Subject, Tensors


def check_gradients(subject: Subject, *, fast: bool = True, second: bool = False) -> None:
    """Gradients of inputs and parameters in float64.

    Args:
        fast: compare in one random direction, not each number with each.
        second: gradients of the gradients as well.
    """
    module, inputs = subject.exact
    learnt = {n: p for n, p in module.named_parameters() if p.requires_grad}
    named = {n: p for n, p in learnt.items() if p.is_floating_point()}
    floats = [i for i, x in enumerate(inputs) if x.is_floating_point()]
    leaves = [inputs[i].clone().requires_grad_() for i in floats]

    def function(*given: Tensor) -> Tensors:
        args = list(inputs)
        for i, x in zip(floats, given, strict=False):
            args[i] = x
        parameters = dict(zip(named, given[len(floats) :], strict=True))
        places = {f"module.{n}": p for n, p in parameters.items()}
        out = functional_call(Called(module), places, tuple(args))
        return tuple(y for y in out if y.is_floating_point())

    given = (*leaves, *named.values())
    if not given or not any(y.requires_grad for y in function(*given)):
        return  # nothing that is learnt, or nothing that has a gradient
    try:
        torch.autograd.gradcheck(function, given, fast_mode=fast)
        if second:
            with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
                torch.autograd.gradgradcheck(function, given, fast_mode=fast)
    except GradcheckError as error:
        raise AssertionError(
            f"{subject.name}: gradients differ from finite differences: {error}"
        ) from None
