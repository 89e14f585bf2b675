"""Which matrices of a saved model are packed, as config.json says it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from blocks.arguments import near_words
from blocks.errors import CheckpointError
from blocks.hub.amount import MOST
from blocks.hub.columns import form
from blocks.hub.config import Config
from blocks.models.packing import Packed, pack_matrices, packable, packed_matrices
from blocks.models.places import modules
from blocks.ops.packing import GROUP, TILE
from blocks.wiring.packed import PackedLinear

__all__: list[str] = []

_LAYOUT = {"group": GROUP, "tile": TILE}
_BITS = (8, 4)
_SPAN = re.compile(r"(\d{1,9})-(\d{1,9})")
_HINT = "was it saved by a newer version?"


def packing_json(packed: Mapping[str, Packed]) -> dict[str, Any]:
    """The layout and the matrices, those that differ in their numbers alone as one line.

    Example:
        >>> from blocks.models.packing import Packed
        >>> found = {f"layers.{i}.mlp.up": Packed(8, (64, 32)) for i in (0, 1, 2, 5)}
        >>> packing_json(found)["matrices"]
        [{'at': ['layers.0-2.mlp.up', 'layers.5.mlp.up'], 'bits': 8, 'shape': [64, 32]}]
    """
    alike: dict[tuple[str, Packed], list[tuple[int, ...]]] = {}
    for address, one in packed.items():
        shape, numbers = form(address)
        alike.setdefault((shape, one), []).append(numbers)
    lines = []
    for (shape, one), numbers in alike.items():
        first, *rest = shape.split("#")
        at = [
            first + "".join(span + tail for span, tail in zip(spans, rest, strict=True))
            for spans in _spans(numbers)
        ]
        lines.append({"at": at, "bits": one.bits, "shape": list(one.shape)})
    return {**_LAYOUT, "matrices": lines}


def _spans(numbers: Iterable[tuple[int, ...]]) -> list[tuple[str, ...]]:
    """Tuples of numbers as tuples of ranges that hold just these."""
    below: dict[int, list[tuple[int, ...]]] = {}
    for one in sorted(numbers):
        if not one:
            return [()]
        below.setdefault(one[0], []).append(one[1:])
    runs: list[tuple[int, int, list[tuple[str, ...]]]] = []
    for number, rest in below.items():
        inner = _spans(rest)
        if runs and runs[-1][1] == number - 1 and runs[-1][2] == inner:
            runs[-1] = (runs[-1][0], number, inner)
        else:
            runs.append((number, number, inner))
    return [
        (str(low) if low == high else f"{low}-{high}", *rest)
        for low, high, inner in runs
        for rest in inner
    ]


def read_packing(config: Config) -> dict[str, Packed]:
    """The packed matrices by address; none where config.json has no field `packed`.

    Errors:
        ConfigError: another layout, other bits, an address that is there twice, or what is no
            list of matrices.
    """
    data = config.data.get("packed")
    if data is None:
        return {}
    if not isinstance(data, Mapping) or data.keys() != {*_LAYOUT, "matrices"}:
        raise config.error("packed", "must have exactly group, tile and matrices", _HINT)
    for name, value in _LAYOUT.items():
        if data[name] != value or type(data[name]) is not int:
            raise config.error(f"packed.{name}", f"must be {value}, not {data[name]!r}", _HINT)
    lines = data["matrices"]
    if not isinstance(lines, list):
        raise config.error("packed.matrices", "must be a list")
    found: dict[str, Packed] = {}
    for n, line in enumerate(lines):
        field = f"packed.matrices.{n}"
        if not isinstance(line, Mapping) or line.keys() != {"at", "bits", "shape"}:
            raise config.error(field, "must have exactly at, bits and shape", _HINT)
        bits, shape, at = line["bits"], line["shape"], line["at"]
        if type(bits) is not int or bits not in _BITS:
            raise config.error(f"{field}.bits", f"must be 8 or 4, not {bits!r}", _HINT)
        if not _is_shape(shape):
            raise config.error(f"{field}.shape", f"must be two sizes above zero, not {shape!r}")
        if not isinstance(at, list) or not all(isinstance(one, str) for one in at):
            raise config.error(f"{field}.at", "must be a list of addresses")
        for template in at:
            for address in _addresses(template, config, f"{field}.at", MOST - len(found)):
                if address in found:
                    raise config.error(f"{field}.at", f"{address} is there twice")
                found[address] = Packed(bits, (shape[0], shape[1]))
    return found


def _is_shape(shape: Any) -> bool:
    sound = isinstance(shape, list) and len(shape) == 2
    return sound and all(type(size) is int and size > 0 for size in shape)


def _addresses(template: str, config: Config, field: str, most: int) -> Iterator[str]:
    """The addresses of a line, counted before the first is made."""
    each: list[Iterable[Any]] = []
    sizes = []
    for segment in template.split("."):
        span = _SPAN.fullmatch(segment)
        each.append(range(int(span[1]), int(span[2]) + 1) if span else (segment,))
        sizes.append(len(each[-1]))  # pyright: ignore[reportArgumentType]  # a range or a tuple
    if not 0 < prod(sizes) <= most:
        raise config.error(field, f"{template} stands for {prod(sizes)} matrices")
    for parts in product(*each):
        yield ".".join(map(str, parts))


def check_packing(model: Any, packed: Mapping[str, Packed], config: Config) -> None:
    """Refuses matrices that the model has not, or in another shape.

    Errors:
        ConfigError: the first of them.
    """
    known = _known(model) if packed else {}
    for address, one in packed.items():
        if address not in known:
            reason = f"{address} is no matrix of the model"
            raise config.error("packed.matrices", reason, near_words(address, known))
        if known[address].shape != one.shape:
            held = f"{list(known[address].shape)} in the Spec, not {list(one.shape)}"
            raise config.error("packed.matrices", f"{address} is {held}")


def put_packed(model: Any, packed: Mapping[str, Packed]) -> None:
    """Packs those matrices of a model without values that are there, in the same shape."""
    known = _known(model) if packed else {}
    fit = {a: p for a, p in packed.items() if a in known and known[a].shape == p.shape}
    for _ in pack_matrices(model, fit):
        pass


def check_ties(
    pairs: Iterable[tuple[str, str]], shared: Collection[tuple[str, str]], config: Config
) -> None:
    """What a packed model shares is shared in its file, which only `save_pretrained` writes.

    Errors:
        CheckpointError: the first that isn't.
    """
    for place, source in pairs:
        if (place, source) not in shared:
            reason = f"isn't {source}, although the Spec ties them"
            raise CheckpointError(reason, file=config.file, tensor=place)


def check_scales(model: Any, file: Path) -> None:
    """Refuses packed matrices whose scales are NaN or infinite.

    Errors:
        CheckpointError: the first of them.
    """
    import torch

    for address, part in modules(model):
        if isinstance(part, PackedLinear) and not part.scale.view(torch.half).isfinite().all():
            raise CheckpointError("holds NaN or infinity", file=file, tensor=f"{address}.scale")


def _known(model: Any) -> dict[str, Packed]:
    return {**packable(model, 8, smallest=0), **packed_matrices(model)}
