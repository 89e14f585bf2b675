"""What is checked: a block, inputs for it, and how it is called."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blocks.attention.mask import Mask
from blocks.errors import SpecError
from blocks.ops.wants import wants
from blocks.state import State
from blocks.step import Step

Shape = tuple[int, ...]
Tensors = tuple[Tensor, ...]

EXACT = 1e-9  # float64, relative to the largest value: other sums, the same mathematics


@dataclass
class Subject:
    """A block with disturbed parameters in evaluation mode, and its inputs.

    Attributes:
        name: of its class, for messages.
        module: in float32.
        inputs: in float32, or ints.
        shapes: of the outputs.
        wide: outputs may be wider than the inputs.
    """

    name: str
    module: nn.Module
    inputs: Tensors
    shapes: tuple[Shape, ...]
    wide: bool

    @classmethod
    def of(cls, module: nn.Module, x: Any, shape: Any, wide: bool) -> Subject:
        inputs = _inputs(module, x)
        shapes = tuple(tuple(t.shape) for t in inputs)
        if shape is not None:
            shapes = (tuple(shape),) if isinstance(shape[0], int) else tuple(map(tuple, shape))
        elif x is None and not inputs[0].is_floating_point():
            shapes = ((*inputs[0].shape, module.vocab),)  # pyright: ignore[reportAssignmentType]  # tokens -> logits
        name = type(module).__name__
        try:
            module = copy.deepcopy(module).float().eval()
        except Exception as error:
            raise AssertionError(f"{name}: copied: {_told(error)}") from error
        disturb(module)
        subject = cls(name, module, tuple(cast(inputs, torch.float32)), shapes, wide)
        tokens = inputs[0].shape[token_axis(inputs[0])] if subject.reads_padding else 4
        if tokens < 4:
            raise SpecError(f"at least four tokens are needed, not {tokens}", field="x")
        return subject

    @property
    def exact(self) -> tuple[nn.Module, Tensors]:
        """A copy of the module in float64, and the inputs."""
        return copy.deepcopy(self.module).double(), cast(self.inputs, torch.float64)

    @property
    def reads_padding(self) -> bool:
        return bool({"mask", "step"} & wants(self.module))

    @property
    def remembers(self) -> bool:
        return hasattr(self.module, "init_state")

    @property
    def claims_causal(self) -> bool:
        place = torch.arange(self.inputs[0].shape[token_axis(self.inputs[0])])
        masks = [getattr(part, "mask", None) for part in self.module.modules()]
        ahead = [m(place[:, None], place).triu(1) for m in masks if isinstance(m, Mask)]
        return self.remembers and not any(bool(table.any()) for table in ahead)

    def keeps(self, doing: str, check: Callable[..., None], *how: Any, **more: Any) -> None:
        """Runs a check. Whatever the module raises meanwhile is a broken promise as well."""
        try:
            check(*how, **more)
        except Exception as error:
            if isinstance(error, AssertionError) and str(error).startswith(f"{self.name}: "):
                raise
            raise AssertionError(f"{self.name}: {doing}: {_told(error)}") from error

    def differs(self, promise: str, found: Tensors, wanted: Tensors, allowed: float = 0.0) -> None:
        """Raises an AssertionError where two outputs are further apart than is allowed."""
        for n, (a, b) in enumerate(zip(found, wanted, strict=True)):
            assert a.shape == b.shape, (
                f"{self.name}: {promise}: {list(a.shape)}, not {list(b.shape)}"
            )
            a, b = a.detach().double(), b.detach().double()
            off = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs())
            most = allowed * max(1.0, float(b.abs().amax())) if b.numel() else 0.0
            if not bool((off <= most).all()):  # one NaN is never within what is allowed
                which = f"output {n} " if len(found) > 1 else ""
                worst = float(off.nan_to_num(nan=torch.inf).amax())
                count = int((~(off <= most)).sum())
                raise AssertionError(
                    f"{self.name}: {promise}: {which}differs by up to {worst:.3g} "
                    f"(allowed: {most:.3g}) in {count} of {off.numel()} numbers"
                )


def run(
    module: nn.Module,
    inputs: Sequence[Tensor],
    mask: Tensor | None = None,
    names: frozenset[str] | None = None,
) -> Tensors:
    """One call of a block or model, given the step it asks for; mask [B T], True where real."""
    names = wants(module) if names is None else names
    if "mask" in names:
        out = module(*inputs, mask=mask)
    elif "step" in names:
        x = inputs[0]
        if mask is None:
            positions = torch.arange(x.shape[token_axis(x)], device=x.device)[None]
        else:
            positions = (mask.cumsum(1) - 1).clamp(min=0)
        # Cross-attention reads what it is given once more, and so does a Load of these names.
        known = {"memory": x, "memory_real": mask, "saved": {"skip": x, "other": 2 * x}}
        out = module(*inputs, step=Step(positions, real=mask, **known))
    else:
        out = module(*inputs)
    return (out,) if isinstance(out, Tensor) else tuple(out)


class Called(nn.Module):
    """A module called the way `run` does, for what takes a module alone."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.names = wants(module)

    def forward(self, *inputs: Tensor) -> Tensors:
        return run(self.module, inputs, names=self.names)


def proceed(module: nn.Module, x: Tensor, state: State, mask: Tensor | None = None) -> Tensor:
    """One call with a state."""
    if "mask" in wants(module):
        return module(x, mask=mask, state=state)
    return state.run(module, x, mask)


def _told(error: Exception) -> str:
    """Kind and first paragraph: compilers add pages of traces."""
    return f"{type(error).__name__}: {str(error).strip().split(chr(10) * 2)[0]}"


def token_axis(x: Tensor) -> int:
    """[B T D] and [B T] have tokens along axis 1, [B H T E] along axis 2."""
    return 1 if x.dim() <= 3 else 2


def cast(inputs: Sequence[Tensor], dtype: torch.dtype) -> Tensors:
    return tuple(x.to(dtype) if x.is_floating_point() else x for x in inputs)


def disturb(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)


def _inputs(module: nn.Module, x: Any) -> Tensors:
    if x is None:
        vocab, dim = getattr(module, "vocab", None), getattr(module, "dim", None)
        if isinstance(vocab, int) and "tokens" in wants(module):
            x = torch.randint(vocab, (3, 7))
        elif isinstance(dim, int):
            x = torch.randn(3, 7, dim)
        else:
            raise SpecError(
                f"{type(module).__name__} has no dim from which an input could be made",
                field="x",
                hint="give one: check_block(module, x)",
            )
    inputs = (x,) if isinstance(x, Tensor) else tuple(x)
    for tensor in inputs:
        if tensor.dim() < 2 or len(tensor) < 2:
            raise SpecError(f"an input has at least two rows, not {list(tensor.shape)}", field="x")
    return inputs
