"""What a recurrent writer looked at in its source."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.models.encoder_decoder import EncoderDecoder
from blocks.ops.check import check_module
from blocks.recurrent.attending import Attending
from blocks.step import Step

__all__ = ["alignment"]


@torch.no_grad()
def alignment(
    model: EncoderDecoder,
    source: Tensor,
    target: Tensor,
    source_mask: Tensor | None = None,
    target_mask: Tensor | None = None,
) -> Tensor:
    """The weights [B T M] with which the writing of each token after the target's reads the source.

    The pictures of Bahdanau et al., 2014, arXiv:1409.0473, figure 3, show them.

    Args:
        model: an encoder–decoder whose decoder has an `Attending` layer, such as `bahdanau`; of
            several the first counts.
        source, target, source_mask, target_mask: as of the model.

    Errors:
        GenerationError: the decoder has no such layer.

    Example:
        >>> import torch
        >>> from blocks import alignment, bahdanau
        >>> model = bahdanau(vocab=20, source=30, dim=6, hidden=8, readout=5)()
        >>> alignment(model, torch.tensor([[5, 6, 7]]), torch.tensor([[1, 2]])).shape
        torch.Size([1, 2, 3])
    """
    check_module(model, EncoderDecoder, error=GenerationError)
    layers = [part for part in model.decoder.modules() if isinstance(part, Attending)]
    if not layers:
        raise GenerationError("no layer of its decoder is an Attending", field="model")
    rows: list[Tensor] = []

    def look(module: Attending, given: tuple[Tensor, Step, object]) -> None:
        rows.append(module.pattern(given[0], given[1]))

    handle = layers[0].register_forward_pre_hook(look)
    try:
        model(source, target, source_mask, target_mask)
    finally:
        handle.remove()
    return rows[0]
