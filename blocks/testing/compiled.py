"""Promises of every block: compiled or exported, it gives the same numbers."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from blocks.testing.subject import Called, Subject, Tensors, run


def check_compiled(subject: Subject, fullgraph: bool, within: float) -> None:
    """torch.compile with `aot_eager`, whose kernels are those of eager torch.

    In evaluation, and in training with the same seed: outputs and the gradients of all that has
    one. A gradient that eager torch leaves out is zero in a graph.

    Args:
        fullgraph: no break.
        within: what may differ, relative to the largest value.
    """
    for training in (False, True):
        torch.compiler.reset()
        eager = Called(copy.deepcopy(subject.module)).train(training)
        graph = copy.deepcopy(eager)
        compiled = torch.compile(graph, backend="aot_eager", fullgraph=fullgraph)
        with warnings.catch_warnings(action="ignore"):  # the compiler's own
            found = _numbers(compiled, graph, subject.inputs, training)
        wanted = _numbers(eager, eager, subject.inputs, training)
        mode = "training" if training else "evaluation"
        for name, number in wanted.items():
            promise = f"compiled and eager in {mode}, {name}"
            subject.differs(promise, (found[name],), (number,), within)
    torch.compiler.reset()


def check_exported(subject: Subject, within: float) -> None:
    """torch.export gives a program with the same outputs."""
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        program = torch.export.export(Called(subject.module), subject.inputs, strict=False)
        found, wanted = program.module()(*subject.inputs), run(subject.module, subject.inputs)
    subject.differs("exported and eager", found, wanted, within)
    torch.compiler.reset()


def _numbers(
    call: Callable[..., Tensors], module: torch.nn.Module, inputs: Tensors, training: bool
) -> dict[str, Tensor]:
    """The outputs by name, and in training the gradients."""
    leaves = [x.clone().requires_grad_(training and x.is_floating_point()) for x in inputs]
    torch.manual_seed(3)
    with torch.set_grad_enabled(training):
        out = call(*leaves)
    numbers = {f"output {n}": y for n, y in enumerate(out)}
    pulled = [y for y in out if y.requires_grad]
    named = {f"gradient of input {n}": x for n, x in enumerate(leaves)}
    named |= {f"gradient of {n.removeprefix('module.')}": p for n, p in module.named_parameters()}
    named = {n: t for n, t in named.items() if t.requires_grad}
    if not (pulled and named):
        return numbers
    pulls = [torch.randn(y.shape, dtype=y.dtype) for y in pulled]
    grads = torch.autograd.grad(pulled, list(named.values()), pulls, materialize_grads=True)
    return numbers | dict(zip(named, grads, strict=True))
