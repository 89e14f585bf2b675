"""A stand-in for torch that knows shapes and nothing else, for commands that only look.

Importing torch takes seconds, and a config.json can be told without it: a block that is built makes
parameters of some shape, and parts. Inside `light()`, `import torch` finds the few classes below,
which record just that. The same blocks build the same model with the same addresses and shapes.

Rules of initialisation do nothing, and the rest of torch is `Inert`. Only a layer of `nn` that is
not here is an error, since its parameters would be lost without a word: add it to LAYERS.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from math import prod
from types import FunctionType, ModuleType
from typing import Any

import blocks


class Inert:
    """Anything without a part in shapes: a function, a decorator, a context."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else None  # a decorator gives the function back, exp(x) gives x
        return first if isinstance(first, FunctionType | type | Tensor) else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    __enter__ = lambda self: self  # noqa: E731
    __exit__ = lambda self, *error: None  # noqa: E731
    __or__ = __ror__ = lambda self, other: Any  # in an annotation


class Dtype:
    def __init__(self, name: str, itemsize: int):
        self.name, self.itemsize = name, itemsize

    def __str__(self) -> str:
        return f"torch.{self.name}"


class Tensor(Inert):
    is_meta, device = True, Inert()

    def __init__(self, shape: tuple[int, ...], dtype: Any = None):
        self.shape, self.dtype = tuple(shape), dtype or DTYPES["float32"]

    def numel(self) -> int:
        return prod(self.shape)

    def element_size(self) -> int:
        return self.dtype.itemsize


class Parameter(Tensor):
    def __init__(self, data: Tensor, requires_grad: bool = True):
        super().__init__(data.shape, data.dtype)


class Module:
    def __init__(self, *args: Any, **options: Any):
        self._parameters, self._buffers, self._modules = {}, {}, {}
        self._non_persistent_buffers_set = set()
        for kind, shape in zip(("weight", "bias"), self.shapes(*args, **options), strict=False):
            setattr(self, kind, Parameter(new(*shape)))

    shapes: Any = list  # none
    bias: Any = None

    def __init_subclass__(cls) -> None:
        cls.reset_parameters = lambda self: None

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter | Module):
            (self._modules if isinstance(value, Module) else self._parameters)[name] = value
        self.__dict__[name] = value

    add_module = __setattr__

    def register_buffer(self, name: str, value: Tensor | None, persistent: bool = True) -> None:
        self.__dict__[name] = self._buffers[name] = value
        if not persistent:
            self._non_persistent_buffers_set.add(name)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return iter(self._modules.items())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, part in self._modules.items():
            yield from part.named_modules(f"{prefix}.{name}".lstrip("."))

    def set_submodule(self, place: str, new: Module) -> None:
        parent, _, name = place.rpartition(".")
        setattr(dict(self.named_modules())[parent], name, new)

    def parameters(self) -> Iterator[Parameter]:
        yield from self._parameters.values()
        for part in self._modules.values():
            yield from part.parameters()

    def forward(self, *inputs: Any) -> Any:
        """Never run; its signature is read."""


class ModuleList(Module):
    def __init__(self, modules: Any = ()):
        super().__init__()
        self._modules.update((str(i), module) for i, module in enumerate(modules))

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())


class ParameterList(Module):
    def __init__(self, values: Any = ()):
        super().__init__()
        self._parameters.update((str(i), Parameter(value)) for i, value in enumerate(values))


def new(*sizes: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """empty, zeros, ones: the sizes one by one, or as one tuple."""
    shape = sizes[0] if isinstance(sizes[0], tuple | list) else sizes
    return Tensor(tuple(shape), dtype)


class Stand(ModuleType):
    def __init__(self, name: str, contents: dict[str, Any]):
        super().__init__(name)
        self.__dict__.update(contents, __spec__=ModuleSpec(name, None), __path__=[])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (self.__name__ == "torch.nn" and name[0].isupper()):
            raise AttributeError(f"{self.__name__}.{name} is not in blocks/cli/standin.py: add it")
        return Inert()


def convolution(axes: int) -> Any:
    """The shapes of a convolution along so many axes."""

    def shapes(inputs, outputs, kernel, stride=1, padding=0, dilation=1, groups=1, bias=True):
        sizes = tuple(kernel) if isinstance(kernel, tuple | list) else (kernel,) * axes
        return [(outputs, inputs // groups, *sizes)] + [(outputs,)] * bias

    return shapes


LAYERS: dict[str, Any] = {  # the shapes of weight and bias
    "Conv1d": convolution(1),
    "Conv2d": convolution(2),
    "Linear": lambda inputs, outputs, bias=True, **where: [(outputs, inputs)] + [(outputs,)] * bias,
    "Embedding": lambda rows, dim: [(rows, dim)],
    "LayerNorm": lambda dim, eps=1e-5: [(dim,), (dim,)],
    "Dropout": lambda rate=0.5: [],
    "Identity": list,
}
NN = {name: type(name, (Module,), {"shapes": staticmethod(f)}) for name, f in LAYERS.items()}
NN |= {kind.__name__: kind for kind in (Module, ModuleList, Parameter, ParameterList)}
WIDTHS = {8: "float64 int64", 4: "float32 int32", 2: "float16 bfloat16 int16", 1: "uint8 bool"}
DTYPES = {n: Dtype(n, w) for w, ns in WIDTHS.items() for n in ns.split()}
TORCH = DTYPES | {"Tensor": Tensor, "device": Inert(), "empty": new, "zeros": new, "ones": new}
AUTOGRAD = Stand("torch.autograd", {"Function": object})
nn = Stand("torch.nn", NN)
TORCH["promote_types"] = lambda one, other: max(one, other, key=lambda kind: kind.itemsize)
ALL = TORCH | {"nn": nn, "autograd": AUTOGRAD}
EMPTY = [Stand(name, {}) for name in ("torch.nn.functional", "torch._guards")]
EMPTY.append(Stand("torch.overrides", {"TorchFunctionMode": Inert}))
STANDS = (nn, AUTOGRAD, *EMPTY, Stand("torch", ALL))


@contextmanager
def light() -> Iterator[None]:
    """Inside it, importing torch gives the stand-in; afterwards all that saw it is forgotten."""
    if "torch" in sys.modules:  # the real one does the same work
        yield
        return
    known, names = set(sys.modules), set(vars(blocks))
    sys.modules.update((stand.__name__, stand) for stand in STANDS)
    try:
        yield
    finally:
        for name in set(sys.modules) - known:
            if name.partition(".")[0] in ("torch", "blocks"):
                del sys.modules[name]
        for name in set(vars(blocks)) - names:
            delattr(blocks, name)
