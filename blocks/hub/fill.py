"""Filling a model that was built on the meta device with a file's tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from blocks.arguments import near_words
from blocks.errors import CheckpointError, SpecError
from blocks.hub.checkpoint import Checkpoint
from blocks.hub.keys import Mapped
from blocks.hub.progress import progress
from blocks.models.places import addresses, modules
from blocks.spec import Spec

_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_DEVICES = ("cpu", "cuda", "mps")


def check_target(dtype: Any, device: Any) -> None:
    """Refuses what weights can't be made of, and a place where they can't be put."""
    check_dtype(dtype)
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError, TypeError) as error:
            reason = f"{device!r} can't be used: {str(error).partition(chr(10))[0]}"
            raise SpecError(reason, field="device", hint=near_words(device, _DEVICES)) from None


def check_dtype(dtype: Any) -> None:
    """Refuses what weights can't be made of."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        names = dict.fromkeys(str(kind) for kind in _FLOATS)
        wanted = f"torch.{dtype}" if isinstance(dtype, str) else str(dtype)
        hint = f"torch.{dtype}" if wanted in names else near_words(wanted, names)
        raise SpecError(f"{dtype!r} is no torch.dtype of floats", field="dtype", hint=hint)


def read_tensors(
    checkpoint: Checkpoint,
    mapped: Iterable[Mapped],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    buffers: Collection[str],
    dtype: torch.dtype | None,
    device: torch.device | str | None,
    copy: bool,
    check_finite: bool,
) -> dict[str, Tensor]:
    """The tensors of a checkpoint by address: views of the mapped files where possible.

    Those at `buffers` keep the dtype of the file.
    """
    by_file: dict[Path, list[Mapped]] = {}
    for one in mapped:
        by_file.setdefault(checkpoint.shard_of(one.theirs), []).append(one)
    read: dict[str, Tensor] = {}
    for file, names in progress(by_file.items(), "loading"):
        try:
            with checkpoint.opened(file, dtype) as handle:
                for one in progress(names, "decoding") if checkpoint.decodes else names:
                    ours = [shapes[address] for address in one.ours]
                    tensor = _whole(one, _with_others(one, handle, file, checkpoint), ours, file)
                    if check_finite and not _is_finite(tensor):
                        raise CheckpointError("holds NaN or infinity", file=file, tensor=one.theirs)
                    kind = None if one.ours[0] in buffers else dtype
                    tensor = tensor.to(device=device, dtype=kind, copy=copy)
                    parts = one.rule.load(tensor, ours)
                    read.update(zip(one.ours, parts, strict=True))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"can't be read: {error}", file=file, hint="download the file again"
            ) from error
    return read


def _whole(one: Mapped, theirs: list[Tensor], ours: list[tuple[int, ...]], file: Path) -> Tensor:
    try:
        return one.rule.whole(theirs, ours)
    except CheckpointError as error:  # it knows the values and not where they are from
        name = error.tensor or one.theirs
        raise CheckpointError(error.reason, file=file, tensor=name, hint=error.hint) from None


def _with_others(one: Mapped, handle: Any, file: Path, checkpoint: Checkpoint) -> list[Tensor]:
    """A tensor and those beside it, which may lie in other files."""
    found = [handle.get_tensor(one.theirs)]
    for name in one.names[1:]:
        other = checkpoint.shard_of(name)
        if other == file:
            found.append(handle.get_tensor(name))
        else:
            with checkpoint.opened(other) as away:
                found.append(away.get_tensor(name))
    return found


def _is_finite(tensor: Tensor) -> bool:
    # A sum is finite only if all its terms are, and quick: in 16 bits too it is kept in 32. Large
    # numbers may overflow it.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def assign(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Puts tensors at their addresses, in place of what is there."""
    for address, module in modules(model):
        for kept in (module._parameters, module._buffers):
            for name, old in kept.items():
                place = f"{address}.{name}" if address else name
                if place in tensors:
                    new = tensors[place]
                    grad = isinstance(old, nn.Parameter) and new.is_floating_point()
                    kept[name] = nn.Parameter(new, grad) if isinstance(old, nn.Parameter) else new  # pyright: ignore[reportArgumentType]


def initialise(
    model: nn.Module,
    made: list[tuple[Any, Spec, tuple[int, ...]]],
    names: Iterable[str],
    *,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> None:
    """Draws the tensors at `names` by the blocks' own rule: building a block initialises it."""
    wanted = set(names)
    recipe = {id(module): (spec, sizes) for module, spec, sizes in made}
    inner = sorted(modules(model), key=lambda item: -item[0].count("."))
    for address, module in inner:
        if id(module) not in recipe or not wanted:
            continue
        own = {f"{address}.{n}" if address else n for n in addresses(module)} & wanted
        if own:
            spec, sizes = recipe[id(module)]
            fresh = addresses(spec(*sizes))
            cut = len(address) + 1 if address else 0
            drawn = {}
            for name in sorted(own):
                tensor = fresh[name[cut:]]
                kind = dtype if isinstance(tensor, nn.Parameter) else None
                drawn[name] = tensor.detach().to(device=device, dtype=kind)
            assign(model, drawn)
            wanted -= own
