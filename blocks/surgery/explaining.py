"""explain: a model as a tree of blocks, with shapes, parameters, bytes and what it remembers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

import torch
from torch import nn

from blocks.arguments import check_whole
from blocks.errors import SpecError
from blocks.hub.columns import columns, counted, human
from blocks.hub.planned import Plan, look
from blocks.hub.report import KINDS, Inspection
from blocks.ops.shapeless import on_meta
from blocks.ops.twins import twinned
from blocks.spec import Spec, is_spec
from blocks.surgery.drawing.canvas import Theme
from blocks.surgery.drawing.page import fragment, page
from blocks.surgery.drawing.picture import picture
from blocks.surgery.tree.parts import Part, Tree

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
        spec: of the whole model; None where it has none. Pictures are made from it.
        title: of pictures: where the model came from.
    """

    root: Part
    depth: int | None = None
    context: int = CONTEXT
    prepared: tuple[str, ...] = ()
    spec: Spec[Any] | None = field(default=None, repr=False)
    title: str = ""

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

    def to_svg(self, theme: Theme = "auto") -> str:
        """A picture of the architecture as SVG; `draw` writes it to a file.

        Args:
            theme: `light` or `dark`; `auto` follows the reader's screen.
        """
        return picture(self.spec, self.root, self.title or self.root.block, theme)

    def to_html(self, theme: Theme = "auto") -> str:
        """A page that needs no other file: the picture, and the tree to open and close."""
        return page(self.title or self.root.block, self.to_svg(theme), self.root, _cells, theme)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return fragment(self.to_svg(), self.root, _cells)

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
        x: a Spec of a whole model, a live model or block, a folder or repository, a config.json
            alone, or what `inspect` gave. Of a repository only config.json and headers are read.
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
    if depth is not None:
        check_whole(depth, "depth", 0)
    check_whole(context, "context")
    if isinstance(x, str | os.PathLike):
        x = look(x)
    tree = tree_of(x, context)
    spec = getattr(tree.model, "spec", None)
    told = (depth, context, getattr(x, "prepared", ()), spec if is_spec(spec) else None)
    return Explanation(tree.root(), *told, _title(x))


def tree_of(x: Any, context: int, dtype: torch.dtype | None = None, fold: bool = True) -> Tree:
    """The Tree of what `look` or `inspect` gave, of a Spec or of a live model.

    Args:
        x: one of these.
        context: as in `explain`.
        dtype: of a Spec's tensors.
        fold: whether equal neighbours become one part.
    """
    if isinstance(x, Inspection):
        dtypes = {
            address: _DTYPES[row.dtype]
            for row in x.tensors
            if row.dtype in _DTYPES
            for address in row.addresses
        }
        twins = {row.addresses[0]: row.twin for row in x.tensors if row.twin}
        return Tree(x.model, dict(x.tied) | twins, dtypes, KINDS[x.dtype][1], context, fold)
    if isinstance(x, Plan):
        return Tree(x.model, dict(x.shared), {}, KINDS[x.dtype][1], context, fold)
    if is_spec(x):
        return Tree(_built(x), {}, {}, dtype, context, fold)
    if isinstance(x, nn.Module):
        return Tree(x, {}, {}, None, context, fold)
    raise SpecError(f"{type(x).__name__} is no Spec, model, folder or repository", field="x")


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
    with on_meta(), twinned():
        return spec()


def _title(x: Any) -> str:
    """Where a model came from, in a word or two."""
    came = x if isinstance(x, Inspection) else getattr(x, "provenance", None)
    source = x.name if isinstance(x, Plan) else getattr(came, "source", None) or ""
    return os.path.basename(source.rstrip("/")) if os.path.isabs(source) else source


def _rows(part: Part, level: int, depth: int | None) -> Iterator[list[str]]:
    first, *cells = _cells(part)
    yield ["  " * level + first, *cells, part.path]
    if depth is None or level < depth:
        for inner in part.parts:
            yield from _rows(inner, level + 1, depth)


def _cells(part: Part) -> list[str]:
    times = f"{part.times} × " if part.times > 1 else ""
    state = f"{part.state_per_token:,}" if part.state_per_token else ""
    if part.state_fixed:
        state += f"{' + ' if state else ''}{human(part.state_fixed)} fixed"
    tied = [f"({name} is {source})" for name, source in part.tied.items()]
    options = [f"{name}={text}" for name, text in part.options.items()]
    return [
        part.name or "all",
        ", ".join("×".join(map(str, shape)) for shape in part.shapes.values()),
        f"{times}{part.parameters:,}" if part.parameters else "",
        f"{times}{human(part.nbytes)}" if part.nbytes else "",
        times + state if state else "",
        f"{times}{counted(part.flops)}" if part.flops else "",
        f"{times}{human(part.bytes_read)}" if part.bytes_read else "",
        " ".join([part.block, *options, *tied]),
    ]
