"""The battery: what every block promises, checked on any module, yours or ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from blocks.testing.compiled import check_compiled, check_exported
from blocks.testing.general import GENERAL, check_build
from blocks.testing.gradients import check_gradients
from blocks.testing.remembering import REMEMBERING, check_causal, check_padding
from blocks.testing.subject import Shape, Subject

__all__ = ["check_block"]


def check_block(
    module: nn.Module,
    x: Tensor | Sequence[Tensor] | None = None,
    *,
    shape: Shape | Sequence[Shape] | None = None,
    wide: bool = False,
    causal: bool | None = None,
    build: Callable[[], nn.Module] | None = None,
    second: bool = False,
    gradients: bool = True,
    compile: bool = True,
    fullgraph: bool = True,
    within: float = 0.0,
) -> None:
    """Checks the promises that every block of the library keeps, on copies of `module`.

    Shape and dtype in float32, bfloat16, float16 and float64; gradients of inputs and parameters
    against finite differences; the same numbers twice, for a row alone, in another order, for other
    strides, after `deepcopy`, through `state_dict`, compiled and exported; the shape on
    the meta device; a text that prints no address. Of a block that reads `step`, or a model that
    takes a mask: padding changes nothing. Of one that remembers: prefill and decode in chunks equal
    one pass, and the state can be copied, its rows selected, its newest tokens forgotten. What is
    no matter of rounding is compared in float64, with disturbed parameters: zeros and ones hide
    errors.

    Args:
        module: the block; it is left as it is.
        x: the input of `forward`, or a tuple of its inputs, each with the rows of a batch along
            its first axis, at least two. By default [3 7 dim] where the module has a `dim`, and
            tokens [3 7] where it has a `vocab`.
        shape: of the output, or one for each of several; by default those of the inputs.
        wide: the output may be in float32 although the input is in bfloat16.
        causal: no output depends on a later token. By default that is claimed by a block that
            remembers, unless one of its masks looks ahead.
        build: makes the block again: then it is also checked that no memory is left
            uninitialised, that a seed decides every number, and that the block built on the meta
            device has the same tensors.
        second: check the gradients of the gradients too.
        gradients: compare them with finite differences; False for a block that takes something it
            computes as given.
        compile: check that torch.compile, in evaluation and in training with all gradients, and
            torch.export give the same numbers, which takes most of the time.
        fullgraph: compile as one graph, without a break; without it nothing is exported.
        within: how far compiled numbers may be off, relative to the largest: none by default, since
            what is compiled runs torch's own kernels (the backend is `aot_eager`).

    Errors:
        AssertionError: the promise that is broken, with the numbers; or what the module raised, and
            what was done with it then.
        SpecError: an input is needed, or has too few rows or tokens.

    Example:
        >>> from blocks import GQAttention
        >>> from blocks.testing import check_block
        >>> check_block(GQAttention(16, heads=4, kv_heads=2), compile=False)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        subject = Subject.of(module, x, shape, wide)
        causal = subject.claims_causal if causal is None else causal
        for doing, check in GENERAL.items():
            subject.keeps(doing, check, subject)
        if gradients:
            subject.keeps("differentiated", check_gradients, subject, second=second)
        if build is not None:
            subject.keeps("built", check_build, subject, build)
        if causal:
            subject.keeps("asked for causality", check_causal, subject)
        if subject.reads_padding:
            subject.keeps("given padding", check_padding, subject)
        if causal and subject.remembers:
            for doing, check in REMEMBERING.items():
                subject.keeps(doing, check, subject)
        if compile:
            subject.keeps("compiled", check_compiled, subject, fullgraph, within)
            if fullgraph:
                subject.keeps("exported", check_exported, subject, within)
