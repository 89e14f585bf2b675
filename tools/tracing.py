"""What flows where in a block: it is called once, and the origins of every tensor are followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What operations are called in a picture; others go without a word.
NAMES = {
    "_scaled_dot_product_attention": "softmax(q·k) v",
    "_softmax": "softmax",
    "silu": "silu",
    "gelu": "gelu",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softplus": "softplus",
    "mul": "×",
    "add": "+",
    "cat": "concat",
    "topk": "top k",
    "cumsum": "running sum",
    "max": "max",
    "convolution": "convolution",
    "_fft_r2c": "Fourier",
    "exp": "exp",
    "rsqrt": "1/√",
    "embedding": "look up",
    "index_add": "scatter",
    "bmm": "matmul",
}


@dataclass
class Node:
    """An input, a part, what happens in between, or the output.

    Attributes:
        kind: `input`, `part`, `work` or `output`.
        name: what it is called.
        shape: of what leaves it.
        comes: from which nodes, by their places in the list.
        times: how often a part is called.
        module: the part.
    """

    kind: str
    name: str
    shape: tuple[int, ...] = ()
    comes: tuple[int, ...] = ()
    times: int = 1
    module: nn.Module | None = None
    depth: int = field(default=0)


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class _Origins(TorchDispatchMode):
    """Notes for each storage which nodes it was made of, and by what."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[int, tuple[frozenset[int], tuple[str, ...]]] = {}
        self.kept: list[Tensor] = []  # so that no storage is used twice
        self.quiet = 0  # inside a part, whose work is its own

    def mark(self, value: Any, node: int) -> None:
        for tensor in _tensors(value):
            self.of[_key(tensor)] = (frozenset((node,)), ())
            self.kept.append(tensor)

    def found(self, value: Any) -> tuple[frozenset[int], tuple[str, ...]]:
        nodes: frozenset[int] = frozenset()
        names: tuple[str, ...] = ()
        for tensor in _tensors(value):
            more, done = self.of.get(_key(tensor), (frozenset(), ()))
            nodes |= more
            names += tuple(name for name in done if name not in names)
        return nodes, names

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.quiet:
            self.kept += _tensors(out)
            return out
        nodes, names = self.found((args, kwargs))
        name = func.overloadpacket.__name__.rstrip("_")
        flash = name.startswith("_scaled_dot_product")
        said = NAMES.get("_scaled_dot_product_attention" if flash else name)
        if said and nodes and said not in names:
            names = (*names, said)
        for tensor in _tensors(out):
            before, done = self.of.get(_key(tensor), (frozenset(), ()))
            both = done + tuple(n for n in names if n not in done)
            self.of[_key(tensor)] = (nodes | before, both)
            self.kept.append(tensor)
        return out


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def parts_of(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The named parts of a block; of a list each, and of a wrapper its own and what it wraps."""
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            yield from ((f"{name}.{i}", one) for i, one in enumerate(child))
        else:
            yield name, child


def trace(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Tensor]) -> list[Node]:
    """The nodes of a block in the order in which they are met.

    Args:
        module: a block.
        inputs: what it is called with.
        named: tensors of these, by the names they are shown by.
    """
    nodes: list[Node] = []
    origins = _Origins()

    def shaped(value: Any) -> tuple[int, ...]:
        found = _tensors(value)
        return tuple(found[0].shape) if found else ()

    for name, value in named.items():
        nodes.append(Node("input", name, tuple(value.shape)))
        origins.mark(value, len(nodes) - 1)
    seen: dict[int, int] = {}

    def joined(value: Any) -> tuple[int, ...]:
        """Where a value comes from; what is worked on its way is a node of its own."""
        found, done = origins.found(value)
        if not done or not found:
            return tuple(sorted(found))
        comes, name = tuple(sorted(found)), ", ".join(done[-3:])
        for at, node in enumerate(nodes):
            if node.kind == "work" and (node.comes, node.name) == (comes, name):
                return (at,)
        nodes.append(Node("work", name, comes=comes))
        return (len(nodes) - 1,)

    def before(part: nn.Module, args: Any, kwargs: Any) -> None:
        origins.quiet += 1
        if origins.quiet > 1:
            return
        said = (args, {k: v for k, v in kwargs.items() if isinstance(v, Tensor)})
        if id(part) in seen:
            nodes[seen[id(part)]].times += 1
            return
        comes = joined(said)
        nodes.append(Node("part", known[id(part)], comes=comes, module=part))
        seen[id(part)] = len(nodes) - 1

    def after(part: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        origins.quiet -= 1
        if origins.quiet:
            return
        node = nodes[seen[id(part)]]
        node.shape = node.shape or shaped(out)
        given = {_key(t) for t in _tensors(args)}
        origins.mark([t for t in _tensors(out) if _key(t) not in given], seen[id(part)])

    known = {id(part): name for name, part in parts_of(module)}
    hooks = []
    for part in dict.fromkeys(part for _, part in parts_of(module)):
        hooks.append(part.register_forward_pre_hook(before, with_kwargs=True))
        hooks.append(part.register_forward_hook(after, with_kwargs=True))
    try:
        with origins:
            out = module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    nodes.append(Node("output", "y", shaped(out), joined(out)))
    return nodes
