"""Named children of a wiring block."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from blocks.errors import SpecError
from blocks.ops.wants import wants
from blocks.spec import Slot

__all__: list[str] = []


def build_named(
    parent: nn.Module, dim: int, slots: Mapping[str, Slot]
) -> dict[str, frozenset[str]]:
    """Builds the slots under their names; gives what each one's forward asks for."""
    if not slots:
        raise SpecError(f"{type(parent).__name__} needs at least one part")
    asked = {}
    for name, slot in slots.items():
        if "." in name or not name or hasattr(parent, name):
            raise SpecError(
                f"{name!r} can't be the name of a part",
                field=type(parent).__name__,
                hint="a name has no dot and is no attribute of torch modules",
            )
        child = slot(dim)
        parent.add_module(name, child)
        asked[name] = wants(child)
    return asked
