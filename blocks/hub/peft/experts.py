"""Adapters of tensors that hold all experts, which PEFT nests in each other without a name."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from torch import Tensor

from blocks.hub.keys import Mapped, Stack
from blocks.hub.peft.settings import Settings
from blocks.hub.peft.table import Table, is_turned

__all__: list[str] = []

INNER = ".base_layer"
Parts = dict[str, Tensor]


def split_experts(small: Mapping[str, Parts], settings: Settings, table: Table) -> dict[str, Parts]:
    """The same under the names of the tensors, with A [X r in] and B [X out r] of X experts.

    Adapters of several tensors of one module are nested: the first is the `base_layer` of the
    second. Which is which only their shapes tell.
    """
    found: dict[str, Parts] = {}
    for path, parts in small.items():
        home = path
        while home.endswith(INNER):
            home = home.removesuffix(INNER)
        stacks = {
            name: mapped
            for name, mapped in table.known.items()
            if isinstance(mapped.rule, Stack)
            and name.startswith(f"{home}.")
            and any(name == one or name.endswith(f".{one}") for one in settings.parameters)
        }
        fitting = {
            name: each for name, mapped in stacks.items() if (each := _apart(parts, mapped, table))
        }
        name = next(iter(fitting)) if len(fitting) == 1 else path
        found[name] = fitting.get(name, parts)
    return found


def stacks_of(table: Table) -> list[Mapped]:
    """The tensors that hold matrices of all experts, by names that aren't those of modules."""
    return [
        mapped
        for mapped in table.known.values()
        if isinstance(mapped.rule, Stack)
        and not mapped.theirs.endswith(".weight")
        and all(address.removesuffix(".weight") in table.matrices for address in mapped.ours)
    ]


def _apart(parts: Parts, mapped: Mapped, table: Table) -> Parts | None:
    """A and B by expert, if that is what these can be."""
    shape = mapped.rule.shape(table.shapes_of(mapped))
    if parts.keys() != {"a", "b"} or len(shape) != 3 or any(p.dim() != 2 for p in parts.values()):
        return None
    experts, out, width = shape if not is_turned(mapped.rule) else (shape[0], shape[2], shape[1])
    a, b = parts["a"], parts["b"]
    fits = a.shape[1] == width and b.shape[0] == out and len(a) == b.shape[1]
    if not fits or len(a) % experts or not prod(a.shape):
        return None
    b = b.unflatten(1, (-1, experts)).permute(2, 0, 1)  # X out r
    return {"a": a.unflatten(0, (experts, -1)), "b": b}
