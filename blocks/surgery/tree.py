"""explain: a model as a tree of blocks, with shapes, parameters, bytes and what it remembers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from blocks.errors import SpecError
from blocks.hub.columns import columns
from blocks.hub.inspection import inspect
from blocks.hub.report import KINDS, Inspection
from blocks.spec import is_spec

__all__ = ["Explanation", "Part", "explain"]

_FAR = 1 << 20  # tokens: beyond every window, so that what still grows with a token grows for ever
_LONGEST_PERIOD = 8  # layers
_OPTION = 60  # characters


@dataclass
class Part:
    """One block of a model, or several equal ones in a row: the numbers are those of one.

    Attributes:
        name: within its parent, such as "attention" or "layers.0-31".
        address: of the first.
        block: its class; `Residual(GQAttention)` where it is wrapped.
        options: those that differ from the defaults.
        times: how many there are.
        shapes: of its own parameters and saved buffers, by name.
        tied: what of it is shared: own name -> address that is counted instead.
        parameters: in it and its parts, without what is tied.
        nbytes: of these and of saved buffers.
        state_per_token: bytes that it remembers of each token.
        state_fixed: bytes that it remembers however long the text is.
        parts: what it is made of.
    """

    name: str
    address: str
    block: str
    options: dict[str, str]
    times: int = 1
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tied: dict[str, str] = field(default_factory=dict)
    parameters: int = 0
    nbytes: int = 0
    state_per_token: int = 0
    state_fixed: int = 0
    parts: list[Part] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return vars(self) | {"parts": [part.to_json() for part in self.parts]}


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; printed, it is a tree.

    Attributes:
        root: the tree.
        depth: how many levels are printed, None for all.
    """

    root: Part
    depth: int | None = None

    @property
    def parameters(self) -> int:
        """All parameters, shared ones counted once."""
        return self.root.parameters

    @property
    def nbytes(self) -> int:
        """Bytes of parameters and saved buffers, shared ones counted once."""
        return self.root.nbytes

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return self.root.to_json()

    def __str__(self) -> str:
        rows = [["PART", "SHAPE", "PARAMETERS", "BYTES", "STATE/TOKEN", "BLOCK"]]
        rows += _rows(self.root, "", self.depth)
        return columns(rows)


def explain(x: Any, *, depth: int | None = None) -> Explanation:
    """Draws a model as a tree, block by block; equal layers are folded.

    Args:
        x: a Spec of a whole model, a live model or block, a folder or repository, or what
            `inspect` gave. Of a repository only config.json and headers are read.
        depth: how many levels to print; all by default.

    Returns:
        An Explanation: `print` it, or read `.parameters`, `.nbytes` and `.root`.

    Errors:
        SpecError: a Spec that still needs its sizes, or something that is no model.
        HubError, ConfigError, CheckpointError: as in `inspect`.

    Example:
        >>> from blocks import GatedMLP, explain
        >>> print(explain(GatedMLP(16, hidden=64)))
        PART    SHAPE  PARAMETERS  BYTES    STATE/TOKEN  BLOCK
                       3,072       12.3 kB               GatedMLP
          gate  64×16  1,024       4.1 kB                Linear
          up    64×16  1,024       4.1 kB                Linear
          down  16×64  1,024       4.1 kB                Linear
    """
    if depth is not None and depth < 0:
        raise SpecError(f"must be zero or more, not {depth}", field="depth")
    if isinstance(x, str | os.PathLike):
        x = inspect(x)
    if isinstance(x, Inspection):
        dtypes = {place: KINDS_BY_HEADER.get(t.dtype) for t in x.tensors for place in t.addresses}
        tree = _Tree(x.model, dict(x.tied), dtypes, KINDS[x.dtype][1])
    elif is_spec(x):
        tree = _Tree(_built(x), {}, {}, None)
    elif isinstance(x, nn.Module):
        tree = _Tree(x, {}, {}, None)
    else:
        raise SpecError(f"{type(x).__name__} is no Spec, model, folder or repository", field="x")
    return Explanation(tree.part(tree.model, "", ""), depth)


KINDS_BY_HEADER = {header: kind for header, kind in KINDS.values()}
