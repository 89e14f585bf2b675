"""activation_statistics: how large what flows through a model is, place by place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from blocks.errors import SpecError
from blocks.hub.columns import columns
from blocks.ops.check import check_texts
from blocks.surgery.inside.plots import File, drawn, label, saved
from blocks.surgery.inside.points import Point, points_of, select
from blocks.surgery.inside.watching import looked, module_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ActivationStatistics", "Activity", "activation_statistics"]


@dataclass(frozen=True)
class Activity:
    """What one place held, over all its calls.

    Attributes:
        count: how many numbers.
        mean, std: of them all.
        largest: the largest absolute value.
        channel: in which channel of the last axis it lay.
        zeros: share of exact zeros.
        broken: how many were infinite or no number; they count in nothing else.
    """

    count: int
    mean: float
    std: float
    largest: float
    channel: int
    zeros: float
    broken: int


class ActivationStatistics(dict[str, Activity]):
    """An `Activity` by name; printed, it is a table."""

    def __str__(self) -> str:
        rows = [["NAME", "MEAN", "STD", "LARGEST", "CHANNEL", "ZEROS", "BROKEN"]]
        for name, one in self.items():
            numbers = [f"{one.mean:.3g}", f"{one.std:.3g}", f"{one.largest:.3g}"]
            rows.append(
                [name, *numbers, str(one.channel), f"{one.zeros:.1%}", str(one.broken or "")]
            )
        return columns(rows)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {name: asdict(one) for name, one in self.items()}

    def plot(self, file: File | None = None) -> Figure:
        """Standard deviation and largest value of every place, in the order of the model.

        Args:
            file: where it goes, a picture by its ending (`.svg`, `.png`, `.pdf`).

        Returns:
            The matplotlib figure.

        Errors:
            BlocksError: no matplotlib (the extra `plot`).
        """
        figure = drawn(max(4.0, 0.24 * len(self) + 1.2), 3.2)
        axis = figure.subplots()
        axis.plot([one.largest for one in self.values()], "o-", ms=3, lw=1, label="largest")
        axis.plot([one.std for one in self.values()], "o-", ms=3, lw=1, label="standard deviation")
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
        label(axis, list(self), "x", most=60)
        axis.tick_params(labelsize=6)
        axis.legend(fontsize=7)
        return saved(figure, file)


@torch.no_grad()
def activation_statistics(
    model: nn.Module, *inputs: Any, at: tuple[str, ...] = ("**.after",), **options: Any
) -> ActivationStatistics:
    """How large activations are at each place while a model reads: outliers, dead and broken ones.

    Nothing is kept but sums, so that it takes no memory for long texts and many places.

    Args:
        model: a model or a block.
        inputs: what it is called with: tokens, or a source and a target.
        at: names with wildcards, as `hook_points` lists them; the residual stream by default.
        options: named arguments of the call. What a `mask` [B T] says is padding doesn't count
            (`source_mask` and `target_mask` in an encoder–decoder).

    Errors:
        SpecError: a name that nothing has.

    Example:
        >>> import torch, blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> found = blocks.activation_statistics(model, torch.tensor([[1, 2, 3]]))
        >>> found["layers.0.after"].count == 3 * 192, found["layers.0.after"].broken
        (True, 0)
    """
    root = module_of(model)
    points = select(points_of(root), *check_texts("at", at))
    sums: dict[str, _Sums] = {}
    asked = [(point, _reader(sums, point, options)) for point in points.values()]
    with looked(root, asked, last=True):
        model(*inputs, **options)
    return ActivationStatistics({name: sums[name].told() for name in points if name in sums})


def _reader(sums: dict[str, _Sums], point: Point, options: Mapping[str, Any]) -> Any:
    def read(x: Any) -> Any:
        if isinstance(x, Tensor) and x.dim():
            sums.setdefault(point.name, _Sums()).add(_counted(point, x, options))
        return x

    return read


def _counted(point: Point, x: Tensor, options: Mapping[str, Any]) -> Tensor:
    """The numbers [N C] of real tokens."""
    if x.dim() == 4:  # heads stand before tokens
        x = x.transpose(1, 2)
    side = point.name.partition(".")[0]
    mask = options.get({"encoder": "source_mask", "decoder": "target_mask"}.get(side, "mask"))
    if isinstance(mask, Tensor) and mask.shape == x.shape[:2] and point.part not in ("k", "v"):
        x = x[mask.bool()]
    return x.flatten(0, -2) if x.dim() > 1 else x[None]


@dataclass
class _Sums:
    count: int = 0
    sum: float = 0.0
    squares: float = 0.0
    largest: float = 0.0
    channel: int = 0
    zeros: int = 0
    broken: int = 0

    def add(self, x: Tensor) -> None:
        if x.is_meta:
            raise SpecError("has no numbers: it is on the meta device", field="model")
        x = x.double()
        good = torch.isfinite(x)
        self.broken += int((~good).sum())
        self.count += int(good.sum())
        x = torch.where(good, x, 0.0)
        self.sum += float(x.sum())
        self.squares += float(x.square().sum())
        self.zeros += int((x[good] == 0).sum())
        each = x.abs().amax(0)
        if float(each.max()) > self.largest:
            self.largest, self.channel = float(each.max()), int(each.argmax())

    def told(self) -> Activity:
        n = max(1, self.count)
        mean = self.sum / n
        spread = max(0.0, self.squares / n - mean**2) ** 0.5
        share = self.zeros / n
        return Activity(self.count, mean, spread, self.largest, self.channel, share, self.broken)
