"""Checks of what a block is given, so that a wrong shape is named before torch meets it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import TypeVar

import torch
from torch import Tensor, nn

from blocks.arguments import check_kind
from blocks.errors import BlocksError, GenerationError, SpecError
from blocks.state import Content

__all__: list[str] = []

Model = TypeVar("Model", bound=nn.Module)


def check_module(
    model: object,
    kind: type[Model] = nn.Module,
    field: str = "model",
    error: type[BlocksError] = SpecError,
) -> Model:
    """Refuses what is no model, or none of a kind that a function is for."""
    wanted = "model" if kind is nn.Module else kind.__name__
    return check_kind(model, kind, field, wanted, error=error)


def check_tensor(x: object, field: str, error: type[BlocksError] = GenerationError) -> Tensor:
    """Refuses what is no tensor."""
    return check_kind(x, Tensor, field, "tensor", error=error)


def check_input(x: Tensor, dim: int, block: str) -> None:
    """Refuses what is not [B T dim], and a sequence of no tokens."""
    if x.dim() != 3 or x.shape[-1] != dim:
        raise SpecError(
            f"{block} takes [batch, tokens, {dim}], not {list(x.shape)}",
            field="x",
            hint=f"the last axis is dim={dim}" if x.dim() == 3 else "add the missing axis",
        )
    if x.shape[1] == 0:
        raise SpecError(f"{block} has no token to read: x is {list(x.shape)}", field="x")


def check_width(x: Tensor, dim: int, block: str) -> None:
    """Refuses what is not [... dim]."""
    if x.dim() == 0 or x.shape[-1] != dim:
        raise SpecError(f"{block} takes [..., {dim}], not {list(x.shape)}", field="x")


def check_real(block: str, **values: object) -> None:
    """Refuses what is no number."""
    for name, value in values.items():
        # A compiler knows the first two classes, and not Real.
        if not isinstance(value, int | float) and not isinstance(value, Real):
            reason = f"{name} must be a number, not {value!r}"
            raise SpecError(reason, field=f"{block}.{name}")


def check_texts(field: str, values: object) -> tuple[str, ...]:
    """One text or several, as several; refuses all else."""
    if isinstance(values, str):
        return (values,)
    several = tuple(values) if isinstance(values, Iterable) else (None,)
    if not all(isinstance(one, str) for one in several):
        reason = f"takes texts, not {values!r}"
        raise SpecError(reason, field=field, hint='one, such as "q", or several: ("q", "v")')
    return several  # pyright: ignore[reportReturnType]  # each has just been looked at


def check_positive(block: str, **sizes: float | None) -> None:
    """Refuses sizes and scales that are not above zero and finite; None passes."""
    for name, value in sizes.items():
        if value is None:
            continue
        check_real(block, **{name: value})
        if not 0 < value < math.inf:
            raise SpecError(f"{name} must be above zero, not {value}", field=f"{block}.{name}")


def check_rate(block: str, **rates: float) -> None:
    """Refuses rates outside [0, 1)."""
    check_real(block, **rates)
    for name, value in rates.items():
        if not 0 <= value < 1:
            raise SpecError(f"{name} must be in [0, 1), not {value}", field=f"{block}.{name}")


def check_number(block: str, **values: float) -> None:
    """Refuses NaN and infinity."""
    check_real(block, **values)
    for name, value in values.items():
        if not math.isfinite(value):
            raise SpecError(f"{name} must be a finite number, not {value}", field=f"{block}.{name}")


def check_heads(
    block: str,
    dim: int,
    heads: int,
    kv_heads: int,
    head_dim: int | None,
    shared: str = "kv_heads",
) -> int:
    """The width of a head, or an error that says which of the four sizes doesn't fit.

    `shared` is the block's name for kv_heads.
    """
    check_positive(block, dim=dim, heads=heads, head_dim=head_dim, **{shared: kv_heads})
    if heads % kv_heads:
        fits = ", ".join(str(n) for n in range(1, min(heads, 1024) + 1) if heads % n == 0)
        raise SpecError(
            f"{heads} heads can't share {kv_heads} {shared} evenly",
            field=f"{block}.{shared}",
            hint=f"a divisor of heads: {fits}",
        )
    if head_dim is None and dim % heads:
        raise SpecError(
            f"dim {dim} is not a multiple of heads {heads}",
            field=f"{block}.heads",
            hint="change one of them or give head_dim",
        )
    return dim // heads if head_dim is None else head_dim


def check_state(
    block: str,
    state: object,
    kind: type[Content],
    x: Tensor,
    of: str | None = None,
    **sizes: tuple[int, ...],
) -> None:
    """Refuses a state that another block made, or one for another batch or dtype than x [B …].

    A recurrence keeps what it sums (`kind.wide`) in at least float32; its other tensors have the
    dtype of x. `sizes` are those of a row of the tensors, by name. Where several blocks keep the
    same kind, its `of` says which it is: the block, or what it is called here.
    """
    hint = "make one with init_state(batch, room, dtype) of this very model"
    if not isinstance(state, kind):
        reason = f"{block} remembers a {kind.__name__}, not a {type(state).__name__}"
        raise GenerationError(reason, field="state", hint=hint)
    made = getattr(state, "of", None)
    if made is not None and made != (of or block):
        reason = f"the state is of {made or 'an unknown block'}, not of {of or block}"
        raise GenerationError(reason, field="state", hint=hint)
    tensors = dict(state.tensors())
    rows = {len(tensor) for tensor in tensors.values()}
    if rows and rows != {len(x)}:  # what is read by the first step has no rows as yet
        reason = f"the state is for {sorted(rows)[0]} sequences, the input has {len(x)}"
        raise GenerationError(reason, field="state", hint=hint)
    for name, size in sizes.items():
        have = tuple(tensors[name].shape[1:])
        if have != size:
            reason = f"{block}: the state's {name} is of {list(have)}, not {list(size)}"
            raise GenerationError(reason, field="state", hint=hint)
    plain = {name: tensor.dtype for name, tensor in tensors.items() if not tensor.is_complex()}
    sums = {plain.pop(name) for name in kind.wide if name in plain}
    kinds = set(plain.values())
    wide = torch.promote_types(x.dtype, torch.float32)
    if (kinds and x.dtype not in kinds) or (sums and sums != {wide}):
        have = ", ".join(sorted(str(found).removeprefix("torch.") for found in kinds | sums))
        reason = f"the state holds {have}, the input is {str(x.dtype).removeprefix('torch.')}"
        raise GenerationError(reason, field="state", hint=hint)
