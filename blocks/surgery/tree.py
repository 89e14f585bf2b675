"""explain: a model as a tree of blocks, with shapes, parameters, bytes and what it remembers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from torch import nn

from blocks.errors import SpecError
from blocks.hub.columns import columns, counted, human
from blocks.hub.inspection import inspect
from blocks.hub.report import KINDS, Inspection
from blocks.ops.check import check_positive
from blocks.ops.shapeless import on_meta
from blocks.spec import Spec, is_spec
from blocks.surgery.parts import Part, Tree

__all__ = ["Explanation", "explain"]

CONTEXT = 512  # tokens
_DTYPES = dict(KINDS.values())  # by their names in headers


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; printed, it is a tree.

    Attributes:
        root: the whole model; its parts are in `root.parts`.
        depth: how many levels are printed, None for all.
        context: how many tokens the new one sees, whose work is counted.
        prepared: what `optimize` did, and what it could not do, in words.
    """

    root: Part
    depth: int | None = None
    context: int = CONTEXT
    prepared: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """All parameters, shared ones counted once."""
        return self.root.parameters

    @property
    def nbytes(self) -> int:
        """Bytes of parameters and saved buffers, shared ones counted once."""
        return self.root.nbytes

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data, all levels of it."""
        told = {"context": self.context, "prepared": list(self.prepared)}
        return self.root.to_json() | told

    def __str__(self) -> str:
        head = ["PART", "SHAPE", "PARAMETERS", "BYTES", "STATE/TOKEN", "FLOPS", "READ", "BLOCK"]
        rows = list(_rows(self.root, 0, self.depth))
        paths = [row.pop() for row in rows]
        if any(paths):
            head.append("PATH")
            rows = [[*row, path] for row, path in zip(rows, paths, strict=True)]
        return "\n".join([columns([head, *rows]), *self.prepared])


def explain(x: Any, *, depth: int | None = None, context: int = CONTEXT) -> Explanation:
    """Shows a model as a tree, block by block; equal layers are folded.

    FLOPS and READ say what one new token costs after `context − 1` others: two FLOPs for each
    multiplication and addition of a product, an attention, a convolution or a recurrence, and the
    bytes of weights and of what is remembered that are read for it. A mixture runs few of its
    experts, and of a table a row is read. Where what a block does depends on what it reads, and
    in a model that makes more or fewer tokens of its text, FLOPS are left open.

    Args:
        x: a Spec of a whole model, a live model or block, a folder or repository, or what
            `inspect` gave. Of a repository only config.json and headers are read.
        depth: how many levels to print; all by default.
        context: how many tokens the new one sees, itself among them.

    Returns:
        An Explanation: `print` it, or read `.parameters`, `.nbytes` and `.root`.

    Errors:
        SpecError: a Spec that still needs its sizes, or something that is no model.
        HubError, ConfigError, CheckpointError: as in `inspect`.

    Example:
        >>> from blocks import GatedMLP, explain
        >>> print(explain(GatedMLP(16, hidden=64)))
        PART    SHAPE  PARAMETERS  BYTES    STATE/TOKEN  FLOPS  READ     BLOCK
        all            3,072       12.3 kB               6.1 k  12.3 kB  GatedMLP
          gate  64×16  1,024       4.1 kB                2.0 k  4.1 kB   Linear
          up    64×16  1,024       4.1 kB                2.0 k  4.1 kB   Linear
          down  16×64  1,024       4.1 kB                2.0 k  4.1 kB   Linear
    """
    if depth is not None and depth < 0:
        raise SpecError(f"must be zero or more, not {depth}", field="depth")
    check_positive("explain", context=context)
    if isinstance(x, str | os.PathLike):
        x = inspect(x)
    if isinstance(x, Inspection):
        dtypes = {
            address: _DTYPES[row.dtype]
            for row in x.tensors
            if row.dtype in _DTYPES
            for address in row.addresses
        }
        tree = Tree(x.model, dict(x.tied), dtypes, KINDS[x.dtype][1], context)
    elif is_spec(x):
        tree = Tree(_built(x), {}, {}, None, context)
    elif isinstance(x, nn.Module):
        tree = Tree(x, {}, {}, None, context)
    else:
        raise SpecError(f"{type(x).__name__} is no Spec, model, folder or repository", field="x")
    return Explanation(tree.root(), depth, context, getattr(x, "prepared", ()))


def _built(spec: Spec) -> nn.Module:
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    sizes = [
        name
        for name, p in signature(spec.func).parameters.items()
        if p.kind in kinds and p.default is Parameter.empty and name not in spec.keywords
    ]
    if sizes:
        raise SpecError(
            f"{spec.func.__name__} still needs {', '.join(sizes)}",
            field="x",
            hint="a parent gives sizes; build it: explain(spec(512))",
        )
    with on_meta():
        return spec()


def _rows(part: Part, level: int, depth: int | None) -> Iterator[list[str]]:
    times = f"{part.times} × " if part.times > 1 else ""
    state = f"{part.state_per_token:,}" if part.state_per_token else ""
    if part.state_fixed:
        state += f"{' + ' if state else ''}{human(part.state_fixed)} fixed"
    tied = [f"({name} is {source})" for name, source in part.tied.items()]
    options = [f"{name}={text}" for name, text in part.options.items()]
    yield [
        "  " * level + (part.name or "all"),
        ", ".join("×".join(map(str, shape)) for shape in part.shapes.values()),
        f"{times}{part.parameters:,}" if part.parameters else "",
        f"{times}{human(part.nbytes)}" if part.nbytes else "",
        times + state if state else "",
        f"{times}{counted(part.flops)}" if part.flops else "",
        f"{times}{human(part.bytes_read)}" if part.bytes_read else "",
        " ".join([part.block, *options, *tied]),
        part.path,
    ]
    if depth is None or level < depth:
        for inner in part.parts:
            yield from _rows(inner, level + 1, depth)
