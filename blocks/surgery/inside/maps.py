"""attention_maps: where each head of a model looks, as numbers and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from blocks.attention.additive import AdditiveAttention
from blocks.attention.cross import CrossAttention
from blocks.errors import SpecError
from blocks.models.halves import Halves
from blocks.recurrent.attending import Attending
from blocks.surgery.inside.plots import File, check_row, drawn, label, saved, words
from blocks.surgery.inside.points import points_of
from blocks.surgery.inside.watching import capture, module_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AttentionMaps", "attention_maps"]

Sides = tuple[Tensor | None, Tensor | None]


class AttentionMaps(dict[str, Tensor]):
    """The pattern [B H T S] of each attention by its name.

    Attributes:
        tokens: by the same names, those that look [B T] and those that are looked at [B S]; None
            where they are no tokens.
    """

    def __init__(self, maps: dict[str, Tensor], tokens: dict[str, Sides]):
        super().__init__(maps)
        self.tokens = tokens

    def plot(
        self,
        file: File | None = None,
        *,
        name: str | None = None,
        row: int = 0,
        tokenizer: Any = None,
    ) -> Figure:
        """A square for each head: queries go down, keys to the right, dark is much.

        Args:
            file: where it goes, a picture by its ending (`.svg`, `.png`, `.pdf`).
            name: one attention of them; all by default, a line each.
            row: which text of the batch.
            tokenizer: what makes words of tokens beside a single attention's heads.

        Returns:
            The matplotlib figure.

        Errors:
            BlocksError: no matplotlib (the extra `plot`), or no such row.
            SpecError: no attention of that name.
        """
        if name is not None and name not in self:
            raise SpecError("no map has this name", field=name, hint=f"there are {', '.join(self)}")
        chosen = dict(self) if name is None else {name: self[name]}
        for maps in chosen.values():
            check_row(row, len(maps))
        return saved(self._drawn(chosen, row, tokenizer), file)

    def _drawn(self, chosen: dict[str, Tensor], row: int, tokenizer: Any) -> Figure:
        heads = max(maps.shape[1] for maps in chosen.values())
        one = len(chosen) == 1
        across = min(heads, 4) if one else heads
        down = -(-heads // across) if one else len(chosen)
        side = 2.2 if one else max(0.45, min(1.1, 10 / across))
        figure = drawn(side * across + 0.6, side * down + 0.5)
        axes = figure.subplots(down, across, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for line, (name, maps) in enumerate(chosen.items()):
            for head, map in enumerate(maps[row].detach().float().cpu().numpy()):
                at = (head // across, head % across) if one else (line, head)
                axis = axes[at]
                axis.set_axis_on()
                axis.imshow(
                    map, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="auto"
                )
                axis.tick_params(length=0, labelsize=6)
                axis.set(xticks=[], yticks=[])
                if one:
                    axis.set_title(f"head {head}", fontsize=8)
                    self._label(axis, name, map, row, tokenizer, first=head % across == 0)
                elif line == 0:
                    axis.set_title(str(head), fontsize=7)
            if not one:
                text = name.removesuffix(".pattern")
                axes[line, 0].set_ylabel(text, fontsize=6, rotation=0, ha="right", va="center")
        figure.suptitle(next(iter(chosen)) if one else "heads", fontsize=8)
        return figure

    def _label(self, axis: Any, name: str, map: Any, row: int, tokenizer: Any, first: bool) -> None:
        for tokens, side, size in zip(self.tokens[name], "yx", map.shape, strict=True):
            if tokens is not None and tokens.shape[1] == size and (first or side == "x"):
                label(axis, words(tokens[row], tokenizer), side)


def attention_maps(
    model: nn.Module, *inputs: Any, at: str = "**.pattern", **options: Any
) -> AttentionMaps:
    """The patterns by which a model's attentions read: how much each query takes of each key.

    Args:
        model: a model with attention of a kind that has patterns.
        inputs: what the model is called with: tokens, or a source and a target.
        at: which attentions, by the pattern of their names.
        options: named arguments of the call, such as `mask`.

    Returns:
        A dict of [B H T S] by name, `layers.0.attention.pattern`; rows sum to one, or to less
        where a sink takes the rest. `plot` draws it.

    Errors:
        SpecError: a model without such patterns.

    Example:
        >>> import torch, blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> maps = blocks.attention_maps(model, torch.tensor([[1, 2, 3]]))
        >>> list(maps)[0], maps["layers.0.attention.pattern"].shape
        ('layers.0.attention.pattern', torch.Size([1, 6, 3, 3]))
    """
    root = module_of(model)
    points = points_of(root)
    read = [x if _is_tokens(x) else None for x in (*inputs, None, None)]
    with torch.no_grad(), capture(model, at) as got:
        model(*inputs, **options)
    pair = isinstance(root, Halves)

    def sides(name: str) -> Sides:
        if not pair or name.startswith("encoder."):
            return read[0], read[0]
        crosses = isinstance(points[name].block, CrossAttention | AdditiveAttention | Attending)
        return read[1], read[0] if crosses else read[1]

    return AttentionMaps(dict(got), {name: sides(name) for name in got})


def _is_tokens(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dim() == 2 and x.dtype in (torch.int64, torch.int32)
