"""A format: how one matrix is stored where it is not stored as floats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from blocks.errors import CheckpointError
from blocks.hub.keys import FLOATS, Shape

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

ANY = -1  # a size that only the tensors themselves tell
# What a scale may be: floats, or a power of two in 8 bits.
SCALES = (*FLOATS, "F8_E8M0")


class Part(NamedTuple):
    """What one of the tensors of a stored matrix must be.

    Attributes:
        shape: its sizes, `ANY` where the header can't be checked; axes of one value don't count.
        kinds: its possible dtypes, as headers name them.
    """

    shape: Shape
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """How one matrix [rows, columns] is stored: an output a row, an input a column.

    A file of a format has one class, whose fields are what `quantization_config` says of it, and
    one function that reads these. Names are templates: `{w}` is the name that the plain matrix
    would have, `{m}` the same without its `.weight`.
    """

    names: ClassVar[Mapping[str, str]] = {}  # template by role, that of the values first
    optional: ClassVar[frozenset[str]] = frozenset()  # roles that a file may lack
    stacked: ClassVar[bool] = False  # whether matrices of all experts may lie in one tensor
    turned: ClassVar[bool] = False  # and be [outputs, inputs] where plain files turn them

    @property
    def values(self) -> str:
        """The role of the tensor that holds the values."""
        return next(iter(self.names))

    @property
    def title(self) -> str:
        """In words: the method, the bits, and what shares a scale."""
        raise AssertionError(type(self))

    def wrong(self, shape: Shape) -> str | None:
        """Why no matrix of this shape can be stored so; None if it can."""
        return None

    def parts(self, shape: Shape) -> dict[str, Part]:
        """What each tensor must be for a matrix of this shape, by role."""
        raise AssertionError(type(self))

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        """The matrix as floats that hold every value of the format exactly, or in float32.

        Errors:
            CheckpointError: of the values; its `tensor` is the role.
        """
        raise AssertionError(type(self))


def refused(role: str, reason: str) -> CheckpointError:
    """An error about the values of the tensor with this role, to be raised by the caller."""
    return CheckpointError(reason, tensor=role)


def many(count: int, size: int) -> int:
    """How many blocks of `size` hold `count`, the last one perhaps cut short."""
    return -(-count // size)


def check_groups(which: Tensor, groups: int) -> None:
    """Refuses a `g_idx` that names a group which isn't there."""
    low, high = int(which.min()), int(which.max())
    if low < 0 or high >= groups:
        raise refused("g_idx", f"names groups from {low} to {high}, and there are {groups}")
