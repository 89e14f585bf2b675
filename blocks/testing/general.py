"""Promises of every block: numbers, copies, dtypes, devices."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from blocks.models.places import addresses
from blocks.testing.subject import EXACT, Subject, cast, disturb, run


def check_shape_and_dtype(subject: Subject) -> None:
    module = copy.deepcopy(subject.module)
    for dtype in (torch.bfloat16, torch.float16, torch.float64, torch.float32):
        module, inputs = module.to(dtype), cast(subject.inputs, dtype)
        for place, tensor in addresses(module).items():
            moved = tensor.dtype == dtype or not tensor.is_floating_point()
            assert moved, f"{subject.name}: {place} is {tensor.dtype} after .to({dtype})"
        known = any(t.is_floating_point() for t in (*inputs, *module.parameters()))
        allowed = {dtype, torch.promote_types(dtype, torch.float32)} if subject.wide else {dtype}
        out = run(module, inputs)
        shapes = tuple(tuple(y.shape) for y in out)
        assert shapes == subject.shapes, f"{subject.name}: gives {shapes}, not {subject.shapes}"
        for y in (y for y in out if y.is_floating_point()):
            assert not known or y.dtype in allowed, f"{subject.name}: {dtype} in, {y.dtype} out"
            assert bool(y.isfinite().all()), f"{subject.name}: output is not finite in {dtype}"


def check_repeatable(subject: Subject) -> None:
    module, inputs = copy.deepcopy(subject.module), subject.inputs
    before = [x.clone() for x in inputs]
    wanted = run(module, inputs)
    subject.differs("the same input twice", run(module, inputs), wanted)
    subject.differs("inputs are left as they are", inputs, tuple(before))
    for training in (True, False):
        module.train(training)
        torch.manual_seed(1)
        first = run(module, inputs)
        torch.manual_seed(1)
        subject.differs("the same seed twice", run(module, inputs), first)


def check_rows(subject: Subject) -> None:
    module, inputs = subject.exact
    wanted = run(module, inputs)
    for row in range(len(inputs[0])):
        alone = run(module, [x[row : row + 1] for x in inputs])
        promise = f"row {row} alone and in its batch"
        subject.differs(promise, alone, tuple(y[row : row + 1] for y in wanted), EXACT)
    order = torch.arange(len(inputs[0])).roll(1)
    moved = run(module, [x[order] for x in inputs])
    subject.differs("rows in another order", moved, tuple(y[order] for y in wanted), EXACT)
    strided = [x.transpose(0, -1).contiguous().transpose(0, -1) for x in inputs]
    subject.differs("an input with other strides", run(module, strided), wanted, EXACT)


def check_copies(subject: Subject) -> None:
    module, inputs = subject.module, subject.inputs
    wanted = run(module, inputs)
    twin = copy.deepcopy(module)
    subject.differs("deepcopy", run(twin, inputs), wanted)
    disturb(twin)
    subject.differs("a copy that changes leaves the first alone", run(module, inputs), wanted)
    emptied = copy.deepcopy(module)
    with torch.no_grad():
        for tensor in (*emptied.parameters(), *emptied.buffers()):
            tensor.fill_(torch.nan if tensor.is_floating_point() else 0)
    emptied.load_state_dict(module.state_dict())
    subject.differs("state_dict holds all there is to know", run(emptied, inputs), wanted)
    for place, part in module.named_modules():
        for name, value in vars(part).items():
            plain = f"{place}.{name}".lstrip(".")
            assert not isinstance(value, Tensor), (
                f"{subject.name}: {plain} is a plain tensor, which is neither saved nor moved: "
                "make it a parameter or a buffer"
            )


def check_printed(subject: Subject) -> None:
    text = repr(subject.module)
    assert " at 0x" not in text, (
        f"{subject.name}: prints an address instead of what it is: {text[:200]}"
    )


def check_meta(subject: Subject) -> None:
    module = copy.deepcopy(subject.module).to("meta")
    shapes = tuple(tuple(y.shape) for y in run(module, [x.to("meta") for x in subject.inputs]))
    assert shapes == subject.shapes, f"{subject.name}: on meta {shapes}, not {subject.shapes}"


def check_build(subject: Subject, build: Callable[[], nn.Module]) -> None:
    """One build is like another, on any device, and leaves nothing uninitialised."""
    memory: Any = torch.utils.deterministic
    filling, strict = memory.fill_uninitialized_memory, torch.are_deterministic_algorithms_enabled()
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = True  # with NaN
        torch.manual_seed(2)
        first = addresses(build())
    finally:
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = filling
    torch.manual_seed(2)
    second = addresses(build())
    for place, tensor in first.items():
        assert bool(tensor.isfinite().all()), f"{subject.name}: {place} is not initialised"
        same = torch.equal(tensor, second[place])
        assert same, f"{subject.name}: {place} is another after the same seed"
    with torch.device("meta"):
        on_meta = addresses(build())
    wanted = {place: (tuple(t.shape), t.dtype) for place, t in first.items()}
    found = {place: (tuple(t.shape), t.dtype) for place, t in on_meta.items()}
    assert found == wanted, f"{subject.name}: on meta it has {found}, not {wanted}"
    real = [place for place, t in on_meta.items() if not t.is_meta]
    assert not real, f"{subject.name}: {real} are not on the device it was built on"


GENERAL = {
    "called twice": check_repeatable,
    "copied": check_copies,
    "printed": check_printed,
    "in every dtype": check_shape_and_dtype,
    "row by row": check_rows,
    "on the meta device": check_meta,
}
