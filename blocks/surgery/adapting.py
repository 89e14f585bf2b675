"""Adapters of a live model: added, and merged into its matrices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from blocks.arguments import check_choice, check_whole, near_words
from blocks.edit import matches, replace
from blocks.errors import SpecError
from blocks.hub.fill import check_dtype
from blocks.hub.rebuilt import adapted, rebuilt
from blocks.hub.save import spec_of
from blocks.models.adapters import (
    Adapter,
    adapted_matrices,
    matrices_of,
    with_adapters,
    without_adapters,
)
from blocks.models.packing import packed_matrices
from blocks.models.places import addresses
from blocks.models.wanted import chosen
from blocks.ops.check import check_number, check_rate, check_texts
from blocks.wiring.added import Added
from blocks.wiring.dora import DoRA
from blocks.wiring.lora import LoRA

__all__ = ["add_adapter", "merge_adapter"]

KINDS: dict[str, type[LoRA]] = {"LoRA": LoRA, "DoRA": DoRA}


def add_adapter(
    model: Any,
    on: Iterable[str] = ("q", "v"),
    *,
    rank: int = 8,
    alpha: float | None = None,
    kind: Literal["LoRA", "DoRA"] = "LoRA",
    rank_stabilised: bool = False,
    dropout: float = 0.0,
    train: Iterable[str] = (),
    dtype: torch.dtype | None = None,
) -> Any:
    """A model whose matrices have an adapter each, which trains while all else is frozen.

    The given model stays as it is, and the two share every tensor but those that train: no
    further memory is used. The new one computes the same until its adapters have learnt. Its
    `.spec` says them as `LoRA` or `DoRA`; `save_pretrained` keeps them, `save_adapter` writes them
    alone, for PEFT too, and `trainable` lists what trains.

    Args:
        model: an assembly; its matrices may be packed (`optimize(model, quantize="int8")`).
        on: of matrices, the last part of the address, "q" or "mlp.up"; or a whole address, with
            wildcards as in `rewrite`. A head and a table of tokens are "head" and "embedding".
        rank: width of A and B.
        alpha: α, of which the scale of B A is α / rank; by default 2 · rank.
        kind: what is learnt of each matrix.
        rank_stabilised: the scale is α / √rank (rsLoRA).
        dropout: rate at which channels are dropped before A, in training.
        train: addresses of parameters or blocks that train whole beside the adapters, with
            wildcards; the new model has copies of these.
        dtype: of A and B; by default that of their matrix.

    Errors:
        SpecError: nothing is of such a name (the nearest are shown), or has an adapter already.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> adapted = blocks.add_adapter(model, on=("q", "v", "mlp.*"), rank=4)
        >>> blocks.at(adapted.spec, "layers.0.attention").func.__name__
        'GQAttention'
        >>> sum(p.numel() for p in blocks.trainable(adapted).values()) < 200_000
        True
    """
    check_whole(rank, "rank")
    check_rate("add_adapter", dropout=dropout)
    alpha = 2.0 * rank if alpha is None else alpha
    check_number("add_adapter", alpha=alpha)
    check_choice(kind, KINDS, "kind", "kind of adapter")
    check_dtype(dtype)
    scale = alpha / (rank**0.5 if rank_stabilised else rank)
    spec = spec_of(model)
    known = matrices_of(spec)
    names = chosen(known, on)
    taken = [name for name in names if name in adapted_matrices(model)]
    if taken:
        reason = "has an adapter already"
        raise SpecError(reason, field=taken[0], hint="merge_adapter makes one matrix of both")
    adapter = Adapter(KINDS[kind], rank, float(scale), float(dropout))
    after = with_adapters(spec, dict.fromkeys(names, adapter), known)
    more = _parameters(model, train)
    change = f"{kind} of rank {rank} added to {len(names)} matrices"
    return adapted(model, after, {}, change, more=more, dtype=dtype)


def _parameters(model: Any, patterns: Iterable[str]) -> list[str]:
    """The addresses of parameters that train whole."""
    known = [a for a, tensor in addresses(model).items() if isinstance(tensor, torch.nn.Parameter)]
    found: list[str] = []
    for pattern in check_texts("train", patterns):
        hits = [a for a in known if matches(a, pattern) or matches(a, f"{pattern}.**")]
        if not hits:
            hint = near_words(pattern, known, "blocks.explain lists them")
            raise SpecError(f"no parameter is at {pattern!r}", field="train", hint=hint)
        found += [hit for hit in hits if hit not in found]
    return found


def merge_adapter(model: Any) -> Any:
    """The plain model with the same outputs: each adapter is one matrix with what it was added to.

    Sums are made in at least float32 and rounded once to the dtype of the matrix. The given model
    stays as it is and shares everything else: whoever wants the two apart again goes on with it,
    and has the base bit for bit. Of two tied tensors, such as a head and its table, each has its
    own numbers afterwards if one alone was adapted.

    Errors:
        SpecError: a model without adapters, or one whose matrices are packed.

    Example:
        >>> import blocks, torch
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> adapted = blocks.add_adapter(model, rank=2)
        >>> merged = blocks.merge_adapter(adapted)
        >>> merged.spec == model.spec
        True
    """
    spec = spec_of(model)
    found = adapted_matrices(model)
    if not found:
        raise SpecError(f"this {type(model).__name__} has no adapter", field="model")
    if packed := [address for address in packed_matrices(model) if address in found]:
        raise SpecError(
            "is packed, and a sum of packed and plain numbers can't be",
            field=packed[0],
            hint="load the adapter into the model before it was packed, merge, and pack that",
        )
    once = {id(part): merged_weight(part) for part in found.values()}
    given = {f"{address}.weight": once[id(part)] for address, part in found.items()}
    plain = without_adapters(spec)
    ties = [pair for pair in plain.keywords["ties"] if given.get(pair[0]) is given.get(pair[1])]
    made = rebuilt(model, replace(plain, ties=ties), given, "adapters merged")
    return made.requires_grad_(True)


def merged_weight(part: Added) -> Tensor:
    """The one matrix that does what W and the adapter do, in the dtype of W."""
    base = part.base.weight
    wide = torch.promote_types(base.dtype, torch.float32)
    with torch.no_grad():
        more = part.b.weight.to(wide) @ part.a.weight.to(wide)
        w = base.to(wide) + part.factor * more
        if part.magnitude is not None:
            w = w * (part.magnitude.to(wide) / w.norm(dim=1))[:, None]
        return w.to(base.dtype)
