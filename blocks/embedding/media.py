"""Media tokens: what is no text, embedded in the places of a token that stands for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError, SpecError
from blocks.ops.check import check_input, check_positive
from blocks.spec import Slot

__all__ = ["MediaTokens"]


class MediaTokens(nn.Module):
    r"""y_t = embed(media)_n where token_t is the nth placeholder, else x_t

    Images as patches or through an encoder, sounds: Bavishi et al., "Fuyu-8B", 2023; Liu et al.,
    "Visual instruction tuning", 2023, arXiv:2304.08485.

    Args:
        dim: width D.
        token: the id of the placeholder.
        embed: slot of size (dim) of what makes embeddings [N D] or [B N D] of the media.

    Shapes: x [B T D], tokens [B T] int, media as `embed` takes them -> [B T D]. Embeddings [B N D]
        are N of each row, [N D] those of all rows, one row after another.

    Errors:
        SpecError: a negative id.
        GenerationError: media that are no tensor; more or fewer embeddings than placeholders.

    Example:
        >>> import torch
        >>> from blocks import MediaTokens, PatchEmbedding, Spec
        >>> place = MediaTokens(8, token=3, embed=Spec(PatchEmbedding, patch=2))
        >>> tokens = torch.tensor([[3, 3, 1, 2]])
        >>> place(torch.randn(1, 4, 8), tokens, torch.randn(1, 2, 12)).shape
        torch.Size([1, 4, 8])
    """

    def __init__(self, dim: int, *, token: int, embed: Slot):
        super().__init__()
        check_positive("MediaTokens", dim=dim)
        if token < 0:
            raise SpecError(f"{token} is no token's id", field="MediaTokens.token")
        self.dim, self.token = dim, token
        self.embed = embed(dim)

    def forward(self, x: Tensor, tokens: Tensor, media: Tensor) -> Tensor:
        check_input(x, self.dim, "MediaTokens")
        if not isinstance(media, Tensor):
            raise GenerationError(f"a {type(media).__name__} is no tensor", field="media")
        places = tokens == self.token  # B T
        found = self.embed(media)  # B N D
        _check_count(places, found)
        return x.masked_scatter(places[..., None], found.to(x.dtype))  # B T D


def _check_count(places: Tensor, found: Tensor) -> None:
    if places.is_meta or torch.compiler.is_compiling():
        return  # no values to look at
    wanted = [int(count) for count in places.sum(1)]
    if found.dim() == 3 and len(found) != len(wanted):
        raise GenerationError(
            f"media of {len(found)} rows for {len(wanted)} rows of tokens", field="media"
        )
    held = [found.shape[1]] * len(wanted) if found.dim() == 3 else [len(found)]
    wanted = wanted if found.dim() == 3 else [sum(wanted)]
    if held != wanted:
        row = next(row for row, (a, b) in enumerate(zip(held, wanted, strict=True)) if a != b)
        where = f" in row {row}" if len(wanted) > 1 else ""
        raise GenerationError(
            f"{held[row]} embeddings for {wanted[row]} placeholders{where}",
            field="media",
            hint="each placeholder takes one; rows with other counts take media in one row",
        )
