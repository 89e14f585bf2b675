"""optimize: the same model, prepared to be quick on this machine."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from blocks.arguments import check_choice
from blocks.errors import SpecError
from blocks.hub.progress import progress
from blocks.models.causal import CausalLM
from blocks.models.packing import Bits, body_bits, pack_matrices, packable, packed_matrices
from blocks.ops import native
from blocks.ops.check import check_module
from blocks.speed.pages import settle
from blocks.speed.quick import Quick, why_not
from blocks.wiring.kinds import quicken, unquicken

__all__ = ["optimize"]

Model = TypeVar("Model", bound=nn.Module)
_BITS: dict[str, Bits] = {"int8": 8, "int4": 4}


def optimize(
    model: Model,
    *,
    quantize: Literal["int8", "int4"] | None = None,
    compile: bool = True,
) -> Model:
    """The same model made quick: its weights read by the library's kernels, its step compiled.

    Every public call works as before, and numbers are the same up to rounding unless `quantize`
    says otherwise. The given model stays as it is; both share the weights that are not packed. On
    a CPU, few rows at a time are multiplied by kernels in C++, which are compiled in some seconds
    when they are first wanted. A `CausalLM` whose layers allow it makes a whole step of one token
    by one call of them; another one gets a step that torch compiles. That takes up to a minute, and
    less in later processes, which find it on the disk.

    Args:
        model: any assembly of blocks, in the dtype it shall run in.
        quantize: keep the matrices in 8.5 (`int8`) or 4.5 (`int4`) bits a weight; see
            `PackedLinear`. The head is in 8 bits in both, and embeddings stay as they are.
        compile: let torch compile the step of a model that has other blocks, or of more rows.

    Returns:
        The prepared model in evaluation mode. `.prepared` says in words what was done and what was
        not; what could not be done is warned of as well.

    Errors:
        SpecError: another kind of `quantize`, or a model without a matrix to pack.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> quick = blocks.optimize(model, quantize="int8", compile=False)
        >>> blocks.generate(quick, [1, 2, 3], max_new_tokens=5, stop=()).shape
        torch.Size([1, 8])
    """
    if quantize is not None:
        check_choice(quantize, _BITS, "quantize", "way to pack")
    check_module(model)
    made: Any = _twin(model)
    told: list[str] = []
    if quantize is not None:
        _pack(made, _BITS[quantize])
    for kind, bits in _BITS.items():
        if count := sum(one.bits == bits for one in packed_matrices(made).values()):
            told.append(f"{count} matri{'x is' if count == 1 else 'ces are'} kept in {kind}")
    made.eval().requires_grad_(False)
    on_cpu = all(p.device.type == "cpu" for p in made.parameters())
    missing = [] if not on_cpu else _use_kernels(made, told)
    missing += _use_steps(made, told, compile)
    made.prepared = (*told, *missing)
    if missing:
        warnings.warn("; ".join(missing), stacklevel=2)
    return made


def _twin(model: nn.Module) -> Any:
    """A copy that shares every tensor, without what an earlier `optimize` has done but packing."""
    tensors = [*model.parameters(), *model.buffers()]
    made = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    vars(made).pop("forward", None)
    unquicken(made)
    return made


def _pack(model: Any, bits: Bits) -> None:
    """Packs what isn't packed yet."""
    if others := body_bits(model) - {bits}:
        raise SpecError(
            f"its matrices are in int{others.pop()} already",
            field="quantize",
            hint="pack the model that they were made from, or leave quantize out",
        )
    wanted = packable(model, bits)
    if not wanted and not packed_matrices(model):
        raise SpecError(f"{type(model).__name__} has no matrix to pack", field="quantize")
    for _ in zip(pack_matrices(model, wanted), progress(wanted, "packing"), strict=True):
        pass
    origin = getattr(model, "provenance", None)
    if wanted and origin is not None:
        change = f"matrices packed in int{bits}"
        model.provenance = replace(origin, changes=(*origin.changes, change))


def _use_kernels(model: nn.Module, told: list[str]) -> list[str]:
    if obstacle := native.obstacle():
        return [f"without the library's kernels, since {obstacle}"]
    quicken(model)
    told.append("few rows at a time are multiplied by the library's kernels")
    if native.MANY and any(p.dtype == torch.bfloat16 for p in model.parameters()):
        told.append(f"texts of {native.MANY} tokens and more are read by them as well")
    if moved := settle(model):
        told.append(f"{moved / 2**20:.0f} MiB of weights lie in large pages of memory")
    return []


def _use_steps(model: nn.Module, told: list[str], compile: bool) -> list[str]:
    reason = why_not(model)
    if reason or not isinstance(model, CausalLM):
        return [f"without a compiled step, since {reason}"] if compile else []
    quick = Quick(model, compile)
    if quick.tape:
        model.forward = quick
        told.append(f"a step of one token is one call of them, for up to {quick.tape.rows} rows")
        if compile:
            told.append("torch compiles a step of more rows when they first come")
        return []
    if not compile:
        return []
    try:
        quick.warm()
    except Exception as error:  # of the compilers, of which there are several
        torch.compiler.reset()
        line = str(error).strip().splitlines() or [type(error).__name__]
        return [f"without a compiled step, since torch.compile failed: {line[0]}"]
    model.forward = quick
    whole = " into one graph of the GPU" if quick.on_gpu else ""
    told.append(f"a step of one token a row is compiled{whole}")
    return []
