"""factorise: matrices of a live model as products of two smaller ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from blocks.edit import replace, rewrite
from blocks.errors import SpecError
from blocks.hub.columns import columns
from blocks.hub.rebuilt import rebuilt
from blocks.hub.save import spec_of
from blocks.models.adapters import grouped, is_adapted, matrices_of
from blocks.models.places import addresses, find
from blocks.models.wanted import chosen
from blocks.ops.check import check_positive, check_real
from blocks.spec import Spec
from blocks.wiring.factored import Factored
from blocks.wiring.linear import Linear
from blocks.wiring.streamed import Streamed

__all__ = ["Factorisation", "factorise"]


@dataclass(frozen=True)
class FactoredMatrix:
    """What became of one matrix.

    Attributes:
        address: where it is.
        shape: [out in].
        rank: of the product.
        error: ‖W - B A‖, the root of the sum of the squares of all numbers.
        share: that by ‖W‖.
        before, after: parameters.
    """

    address: str
    shape: tuple[int, int]
    rank: int
    error: float
    share: float
    before: int
    after: int


@dataclass(frozen=True)
class Factorisation:
    """What `factorise` has done.

    Attributes:
        matrices: one by one, in the order of the model.
    """

    matrices: tuple[FactoredMatrix, ...]

    @property
    def before(self) -> int:
        """Parameters of these matrices before."""
        return sum(one.before for one in self.matrices)

    @property
    def after(self) -> int:
        """Parameters of the products."""
        return sum(one.after for one in self.matrices)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        rows = [asdict(one) for one in self.matrices]
        return {"before": self.before, "after": self.after, "matrices": rows}

    def __str__(self) -> str:
        rows = [["MATRIX", "SHAPE", "RANK", "ERROR", "OF ITS LENGTH", "PARAMETERS"]]
        for one in self.matrices:
            size = f"{one.before:,} -> {one.after:,}"
            shape = f"{one.shape[0]}×{one.shape[1]}"
            rows.append(
                [one.address, shape, str(one.rank), f"{one.error:.3g}", f"{one.share:.2%}", size]
            )
        rows.append(["all", "", "", "", "", f"{self.before:,} -> {self.after:,}"])
        return columns(rows)


def factorise(
    model: Any,
    where: Iterable[str] = ("mlp.*",),
    *,
    rank: int | None = None,
    energy: float | None = None,
) -> tuple[Any, Factorisation]:
    r"""A model whose matrices are products B A of a lower rank, and what that cost.

    Of all products of this rank, B A = Σ_{i ≤ rank} σ_i u_i v_iᵀ is nearest to W, and
    ‖W - B A‖² = Σ_{i > rank} σ_i² (Eckart and Young, 1936). The given model stays as it is and
    shares everything else. `blocks.add_adapter` or plain training mends what was lost.

    Args:
        model: an assembly.
        where: of matrices, the last part of the address or a whole one, as in `add_adapter`.
        rank: of the products; or
        energy: the share of Σ σ² that the smallest rank must keep, matrix by matrix.

    Returns:
        The model, whose `.spec` has them as `Factored`, and the report.

    Errors:
        SpecError: nothing is of such a name, a rank above that of a matrix, a packed matrix or one
            with an adapter.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> small, report = blocks.factorise(model, ("mlp.up",), rank=48)
        >>> report.before, report.after
        (393216, 135168)
    """
    if (rank is None) == (energy is None):
        raise SpecError("give either a rank or an energy", field="rank")
    check_positive("factorise", rank=rank)
    if rank is not None and not isinstance(rank, int):
        raise SpecError(f"must be a whole number, not {rank!r}", field="factorise.rank")
    if energy is not None:
        check_real("factorise", energy=energy)
    if energy is not None and not 0 < energy <= 1:
        raise SpecError(f"must be above 0 and at most 1, not {energy}", field="factorise.energy")
    spec = spec_of(model)
    if is_adapted(spec):
        raise SpecError("has adapters", field="model", hint="merge_adapter first")
    known = matrices_of(spec)
    names = chosen({a: s for a, s in known.items() if _plain(find(model, a))}, where)
    given: dict[str, Tensor] = {}
    rows: list[FactoredMatrix] = []
    once: dict[int, tuple[int, Tensor, Tensor, float, float]] = {}
    for name in names:
        part: Any = find(model, name)
        if id(part.weight) not in once:
            once[id(part.weight)] = _split(part.weight.detach(), rank, energy, name)
        width, a, b, error, length = once[id(part.weight)]
        given |= {f"{name}.a.weight": a, f"{name}.b.weight": b}
        if part.bias is not None:
            given[f"{name}.b.bias"] = part.bias
        out, inward = part.weight.shape
        share = error / length if length else 0.0
        sizes = out * inward, (out + inward) * width
        rows.append(FactoredMatrix(name, (out, inward), width, error, share, *sizes))
    wanted = {row.address: row.rank for row in rows}
    after = replace(spec, ties=())
    for owner, each in grouped(spec, wanted, known).items():
        ranks = {pattern: width for width, on in each.items() for pattern in on}
        after = rewrite(after, owner, _factored(ranks))
    after = replace(after, ties=_ties(spec.keywords["ties"], {*names}, addresses(model)))
    change = f"{len(names)} matrices factored"
    return rebuilt(model, after, given, change), Factorisation(tuple(rows))


def _factored(ranks: dict[str, int]) -> Any:
    return lambda inner: Spec(Factored, inner=inner, rank=ranks)


def _plain(part: Any) -> bool:
    return type(part) in (nn.Linear, Linear, Streamed)


def _split(
    weight: Tensor, rank: int | None, energy: float | None, name: str
) -> tuple[int, Tensor, Tensor, float, float]:
    """The rank, A [rank in], B [out rank], what is lost, and the length of W."""
    most = min(weight.shape)
    if rank is not None and rank > most:
        reason = f"rank {rank} is above {most}, the rank of {list(weight.shape)}"
        raise SpecError(reason, field=name)
    u, s, v = torch.linalg.svd(weight.double(), full_matrices=False)
    if rank is None:
        kept = s.square().cumsum(0)
        enough = kept >= (energy or 1.0) * kept[-1]
        rank = int(enough.nonzero()[0, 0]) + 1
    root = s[:rank].sqrt()
    pair = root[:, None] * v[:rank], u[:, :rank] * root
    a, b = (one.to(weight.dtype).contiguous() for one in pair)
    return rank, a, b, float(s[rank:].norm()), float(s.norm())


def _ties(
    pairs: Iterable[tuple[str, str]], names: set[str], held: dict[str, Tensor]
) -> list[tuple[str, str]]:
    """The ties that are left: of a matrix that two share, those of its factors."""
    found: list[tuple[str, str]] = []
    for pair in pairs:
        homes = [place.rpartition(".")[0] for place in pair]
        if pair[0] not in held or not names & {*homes}:
            found.append(pair)
        elif names >= {*homes} and pair[0].endswith(".weight"):
            found += [(f"{homes[0]}.{one}.weight", f"{homes[1]}.{one}.weight") for one in "ab"]
        elif names >= {*homes}:
            found.append((f"{homes[0]}.b.bias", f"{homes[1]}.b.bias"))
    return found
