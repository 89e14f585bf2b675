"""compressed-tensors: several formats, each for the modules that a group of its config names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from blocks.hub.config import Config
from blocks.hub.keys import FLOATS, Shape
from blocks.hub.quantised.bits import in_order, ordered, scaled, unpacked
from blocks.hub.quantised.format import Format, Part, check_groups, many, refused
from blocks.hub.quantised.fp4 import Mxfp4Packed, Nvfp4Packed
from blocks.hub.quantised.fp8 import Block, Scaled, ScaledFromZero
from blocks.hub.quantised.naming import Names, check_name
from blocks.hub.quantised.storage import Storage
from blocks.hub.quantised.telling import groups_of, harmless, read_group, read_plain

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

_METHOD = "compressed-tensors"
_ACTIVATIONS = ("input_activations", "output_activations")
_FOURS = {"nvfp4-pack-quantized": (16, Nvfp4Packed()), "mxfp4-pack-quantized": (32, Mxfp4Packed())}
_EIGHTS = ("int-quantized", "float-quantized", "naive-quantized")


@dataclass(frozen=True)
class Packed(Format):
    r"""w_{o,i} = s_{o,g(i)} · (q_{o,i} − z_{o,g(i)}),  g(i) = ⌊i / group⌋

    The numbers q of an output, 2^(bits − 1) more than meant, follow one another over its inputs;
    the zeros z of a group, where there are any, over the outputs. `weight_g_idx` says g where
    inputs were ordered by their activation.

    Attributes:
        bits: of a number.
        group: inputs that share a scale; None is all.
        each: whether each output has scales of its own.
    """

    bits: int
    group: int | None
    each: bool = True

    names: ClassVar[Mapping[str, str]] = {
        "packed": "{w}_packed",
        "scale": "{w}_scale",
        "shape": "{w}_shape",
        "g_idx": "{w}_g_idx",
    }
    optional: ClassVar[frozenset[str]] = frozenset({"shape", "g_idx"})

    @property
    def title(self) -> str:
        share = groups_of(self.group) if self.each else "one scale a matrix"
        return f"{_METHOD} packed, {self.bits} bits, {share}"

    def wrong(self, shape: Shape) -> str | None:
        if self.group and shape[1] % self.group:
            return f"group_size {self.group} doesn't divide {shape[1]} inputs"
        return None

    def parts(self, shape: Shape) -> dict[str, Part]:
        rows, columns = shape
        groups = many(columns, self.group or columns)
        return {
            "packed": Part((rows, many(columns * self.bits, 32)), ("I32",)),
            "scale": Part((rows if self.each else 1, groups), FLOATS),
            "shape": Part((2,), ("I64", "I32")),
            "g_idx": Part((columns,), ("I32", "I64")),
            "zero": Part((many(rows * self.bits, 32), groups), ("I32",)),
        }

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        rows, columns = shape
        if "shape" in parts and tuple(parts["shape"].tolist()) != shape:
            raise refused("shape", f"says {parts['shape'].tolist()}, not {list(shape)}")
        more, zeros = 2 ** (self.bits - 1), None
        if "zero" in parts:  # both are more than meant by as much
            zeros, more = unpacked(parts["zero"].t(), self.bits, rows).t(), 0  # R G
        values = unpacked(parts["packed"], self.bits, columns).float().sub_(more)  # R C
        group, scales = self.group or columns, parts["scale"]
        which = parts["g_idx"].long() if "g_idx" in parts else None
        if which is not None and not bool((which == -1).all()):  # else the tool never set it
            check_groups(which, scales.shape[1])
            if not in_order(which, group):
                return ordered(values, scales, zeros, which)
        return scaled(values, scales, (1 if self.each else rows, group), zeros)


@dataclass(frozen=True)
class PackedFromZero(Packed):
    """With a zero for each group."""

    names: ClassVar[Mapping[str, str]] = {**Packed.names, "zero": "{w}_zero_point"}


def read_compressed(c: Config) -> Storage:
    """Reads a `quantization_config` of compressed-tensors, and ModelOpt's in its words."""
    whole = c.take("format", str, None)
    for name in ("transform_config", "moe_sparsity_config"):  # rotations change what is multiplied
        c.only(name, None, {})
    sparsity = c.inner("sparsity_config")
    if sparsity is not None and sparsity.data:
        sparsity.only("format", "dense")
        harmless(sparsity, *sparsity.data)
    harmless(c, "global_compression_ratio", "kv_cache_scheme", "quantization_status", "version")
    groups = c.inner("config_groups")
    if groups is None or not groups.data:
        raise c.error("config_groups", "this field is missing")
    rules: list[tuple[int, Names, tuple[Format, ...]]] = []
    for name in groups.data:
        group = groups.inner(name)
        if group is not None:
            form = _read_scheme(group, whole)
            for weight, names in _read_targets(group):
                rules.append((weight, Names(names), () if form is None else (form,)))
    rules.sort(key=lambda rule: rule[0])
    each = tuple((names, formats) for _, names, formats in rules)
    return Storage(_METHOD, each, Names(read_plain(c, "ignore")), "ignore")


def _read_targets(group: Config) -> list[tuple[int, list[str]]]:
    """What a group is for: a name counts before a pattern, and that before a class of layers."""
    targets = [check_name(group, "targets", one) for one in group.take("targets", tuple[str, ...])]
    patterns = [target for target in targets if target.startswith("re:")]
    names = [target for target in targets if target not in ("Linear", *patterns)]
    return [(0, names), (1, patterns), (2, ["*"] if "Linear" in targets else [])]


def _read_scheme(group: Config, whole: str | None) -> Format | None:
    """The format of a group's weights; None where activations alone are quantised."""
    harmless(group, *_ACTIVATIONS)  # how they are rounded where a chip multiplies few bits
    form = group.take("format", str, whole)
    weights = group.inner("weights")
    if weights is None:
        return None
    bits, kind = weights.take("num_bits", int, 8), weights.take("type", str, "int")
    weights.only("dynamic", False)
    symmetric = weights.take("symmetric", bool, True)
    harmless(weights, "actorder", "observer", "observer_kwargs", "scale_dtype", "zp_dtype")
    strategy, block = _read_block(weights)
    if form in _FOURS:
        size, found = _FOURS[form]
        if (bits, kind, block, symmetric) != (4, "float", (1, size), True):
            raise weights.error("num_bits", f"{form} has 4 bits, and symmetric groups of {size}")
        return found
    if form == "pack-quantized" and kind == "int" and strategy != "block":
        if not 1 <= bits <= 8:
            raise weights.error("num_bits", f"{bits} is not from 1 to 8")
        if not symmetric and strategy == "tensor":
            raise weights.error("symmetric", "zeros of one scale a matrix are not packed")
        return (Packed if symmetric else PackedFromZero)(bits, block[1], strategy != "tensor")
    eights = Scaled if symmetric else ScaledFromZero
    if form in _EIGHTS and kind == "int" and form != "float-quantized" and bits <= 8:
        return eights(block, "I8", f"{_METHOD} int{bits}")
    if form in _EIGHTS and kind == "float" and form != "int-quantized" and bits == 8:
        return eights(block, "F8_E4M3", f"{_METHOD} FP8")
    raise group.error("format", f"{form!r} of {bits} bits ({kind}, {strategy}) can't be read")


def _read_block(weights: Config) -> tuple[str, Block]:
    """What shares a scale: its name, and how many outputs and inputs; None is all."""
    size = read_group(weights) if weights.data.get("group_size") is not None else 0
    weights.read.setdefault("group_size", None)
    meant = "tensor" if size == 0 else "channel" if size is None else "group"
    strategy = weights.take("strategy", str, meant)
    blocks = weights.take("block_structure", tuple[int, ...], None)
    if strategy == "block" and blocks is not None and len(blocks) == 2 and min(blocks) > 0:
        return strategy, (blocks[0], blocks[1])
    if strategy in ("group", "tensor_group") and size:
        return strategy, (1, size)
    if strategy in ("tensor", "channel"):
        return strategy, (None if strategy == "tensor" else 1, None)
    raise weights.error("strategy", f"{strategy!r} with group_size {size} can't be read")
