"""A whole model whose matrices are packed in 8 or 4 bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.heads.language import LMHead
from blocks.models.places import addresses, modules
from blocks.ops.crossentropy import linear_cross_entropy
from blocks.wiring.linear import Linear
from blocks.wiring.packed import PackedLinear

__all__: list[str] = []

SMALLEST = 1 << 12  # weights of a matrix that is worth it
Bits = Literal[8, 4]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Packed:
    """How a matrix is kept.

    Attributes:
        bits: of a weight, 8 or 4.
        shape: [O D] of the matrix.
    """

    bits: Bits
    shape: tuple[int, int]


class PackedHead(LMHead):
    """An `LMHead` whose matrix is packed; a table that it shared stays what it is."""

    matrix: PackedLinear

    @classmethod
    def of(cls, head: LMHead, matrix: PackedLinear) -> PackedHead:
        """The head with this matrix."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.project, made.dim, made.scale, made.cap = head.project, head.dim, head.scale, head.cap
        made.matrix = matrix
        return made

    def product(self, x: Tensor) -> Tensor:
        return self.matrix(x)

    def loss(self, x: Tensor, targets: Tensor) -> Tensor:
        how = {"bias": self.matrix.bias, "scale": self.scale, "cap": self.cap}
        weight = self.matrix.dense(x.dtype)
        return linear_cross_entropy(self.narrowed(x), weight, targets, **how)


def packed_matrices(model: nn.Module) -> dict[str, Packed]:
    """The packed matrices of a model, by the address of what each took the place of."""
    found: dict[str, Packed] = {}
    for address, parent, name, part in _places(model):
        matrix = part.matrix if type(part) is PackedHead else part
        within = type(parent) is PackedHead and name == "matrix"
        if type(matrix) is PackedLinear and not within:
            found[address] = Packed(matrix.bits, (matrix.out_dim, matrix.dim))
    return found


def body_bits(model: nn.Module) -> set[int]:
    """The bits that packed matrices are in, heads left out."""
    heads = {id(part.matrix) for part in model.modules() if isinstance(part, PackedHead)}
    matrices = [part for part in model.modules() if isinstance(part, PackedLinear)]
    return {part.bits for part in matrices if id(part) not in heads}


def packable(model: nn.Module, bits: Bits, smallest: int = SMALLEST) -> dict[str, Packed]:
    """The matrices of a model that can be packed, by address; those of heads in 8 bits.

    Embeddings, norms, routers, convolutions and small matrices but a head's are none of them, nor
    is what a block reads in another way than by calling it.
    """
    return {
        address: Packed(
            8 if type(part) is LMHead else bits, (part.weight.shape[0], part.weight.shape[1])
        )
        for address, parent, name, part in _places(model)
        if _plain(parent, name, part) and (type(part) is LMHead or part.weight.numel() >= smallest)
    }


def pack_matrices(model: nn.Module, wanted: Mapping[str, Packed]) -> Iterator[str]:
    """Packs matrices of a model in place, and gives the address of each when it is done.

    What shares a weight shares the packed one.

    Errors:
        SpecError: weights that can't be packed.
    """
    done: dict[int, tuple[Any, nn.Module]] = {}  # originals, kept lest another gets their number
    twins: dict[tuple[int, int], PackedLinear] = {}
    for address, parent, name, part in _places(model):
        if address not in wanted or hasattr(type(part), "transparent"):
            continue  # what is wrapped there is the matrix
        if not _plain(parent, name, part):  # of a parent that has two addresses
            yield address
            continue
        if id(part) not in done:
            bits = wanted[address].bits
            try:
                twin = twins.get((id(part.weight), bits))
                matrix = PackedLinear.of(part.weight, part.bias, bits, twin)
            except SpecError as error:
                raise SpecError(error.reason, field=address) from None
            twins[id(part.weight), bits] = matrix
            new = PackedHead.of(part, matrix) if isinstance(part, LMHead) else matrix
            done[id(part)] = part, new
        setattr(parent, name, done[id(part)][1])
        yield address


def packed_ties(model: nn.Module, ties: Iterable[Pair]) -> tuple[Pair, ...]:
    """The ties of a packed model: of packed matrices, bytes and scales are shared.

    A matrix that is packed and one that isn't, such as a head and its table, share nothing.
    """
    ties, tensors = tuple(ties), addresses(model)
    if all({*pair} <= tensors.keys() for pair in ties):
        return ties
    places = packed_matrices(model)
    known = {address for address, _ in modules(model)} | tensors.keys()
    found: list[Pair] = []
    for place, source in ties:
        if {place, source} <= known:
            found.append((place, source))
            continue
        here, there = (_bytes_of(one, places, tensors) for one in (place, source))
        found += zip(here, there, strict=True) if here and there else ()
    return tuple(found)


def _bytes_of(place: str, places: Mapping[str, Packed], tensors: Mapping[str, Any]) -> list[str]:
    """Where bytes and scales of a packed weight are, or its bias."""
    address, _, kind = place.rpartition(".")
    if address not in places:
        return []
    inside = f"{address}.matrix" if f"{address}.matrix.packed" in tensors else address
    return [f"{inside}.{one}" for one in (("packed", "scale") if kind == "weight" else (kind,))]


def _places(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Any]]:
    """Every part with its address, its parent, and its name there: also of what was just put in."""
    for address, parent in modules(model):
        through = getattr(type(parent), "transparent", None)
        for name, part in parent._modules.items():
            place = address if name == through else f"{address}.{name}".lstrip(".")
            yield place, parent, name, part


def _plain(parent: nn.Module, name: str, part: Any) -> bool:
    by_hand = name in getattr(parent, "by_hand", ())
    return not by_hand and type(part) in (nn.Linear, Linear, LMHead)


def stood_for(model: nn.Module) -> dict[str, int]:
    """How many weights each tensor of a packed matrix stands for: the bytes for all of them."""
    found: dict[str, int] = {}
    for address, part in modules(model):
        if isinstance(part, PackedLinear):
            found[f"{address}.packed".lstrip(".")] = part.out_dim * part.dim
            found[f"{address}.scale".lstrip(".")] = 0
    return found


def count_weights(model: nn.Module) -> int:
    """Parameters, and the weights that packed matrices stand for; shared ones once."""
    packed = {id(p.packed): p for p in model.modules() if isinstance(p, PackedLinear)}
    held = sum(part.out_dim * part.dim for part in packed.values())
    return held + sum(p.numel() for p in model.parameters())
