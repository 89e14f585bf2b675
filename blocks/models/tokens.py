"""Checks of tokens and masks before any layer meets them."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.errors import GenerationError

__all__: list[str] = []


def check_tokens(tokens: Tensor, vocab: int) -> None:
    """Refuses what is not [B T] of token ids below `vocab`, or is empty."""
    if not isinstance(tokens, Tensor) or tokens.dim() != 2:
        shape = list(tokens.shape) if isinstance(tokens, Tensor) else type(tokens).__name__
        raise GenerationError(
            f"tokens are a tensor [batch, tokens], not {shape}",
            field="tokens",
            hint="torch.tensor([ids]) makes a batch of one",
        )
    if tokens.dtype not in (torch.int64, torch.int32):
        raise GenerationError(f"tokens are integers, not {tokens.dtype}", field="tokens")
    if tokens.numel() == 0:
        raise GenerationError(f"nothing to read: tokens are {list(tokens.shape)}", field="tokens")
    if tokens.is_meta or torch.compiler.is_compiling():
        return  # no values to look at
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab:
        raise GenerationError(
            f"token {low if low < 0 else high} is not in the vocabulary 0 … {vocab - 1}",
            field="tokens",
            hint="the text was encoded with another model's tokenizer",
        )


def check_frames(frames: Tensor, channels: int) -> None:
    """Refuses what is not [B T channels] of floats, or is empty."""
    if not isinstance(frames, Tensor) or frames.dim() != 3 or frames.shape[-1] != channels:
        shape = list(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
        raise GenerationError(
            f"frames are a tensor [batch, frames, {channels}], not {shape}", field="source"
        )
    if not frames.is_floating_point():
        raise GenerationError(f"frames are floats, not {frames.dtype}", field="source")
    if frames.numel() == 0:
        raise GenerationError(f"nothing to read: frames are {list(frames.shape)}", field="source")


def counted(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """[B T] or [1 T]: the place of each token among the real ones of its row."""
    if mask is None:
        return torch.arange(tokens.shape[1], device=tokens.device)[None]
    return (mask.cumsum(1) - 1).clamp(min=0)


def newest(x: Tensor, mask: Tensor | None) -> Tensor:
    """[B T D] -> [B 1 D], what belongs to each row's last real token."""
    if mask is None:
        # With the strides of a view, torch would copy the whole matrix that it meets next.
        return x[:, -1:].clone(memory_format=torch.contiguous_format)
    index = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, index, 0).amax(1)  # B
    return x[torch.arange(len(x), device=x.device), last][:, None]


def check_mask(mask: Tensor | None, tokens: Tensor) -> Tensor | None:
    """The mask as bool [B T]; None where every token is real, which is the faster path."""
    if mask is None:
        return None
    if not isinstance(mask, Tensor):
        raise GenerationError(f"is a {type(mask).__name__}, not a tensor", field="mask")
    if mask.shape != tokens.shape:
        raise GenerationError(
            f"the mask is {list(mask.shape)}, the tokens are {list(tokens.shape)}", field="mask"
        )
    if mask.dtype != torch.bool:
        if mask.is_floating_point():
            raise GenerationError(f"a mask is bool or 0 and 1, not {mask.dtype}", field="mask")
        if (
            not mask.is_meta
            and not torch.compiler.is_compiling()
            and bool(((mask != 0) & (mask != 1)).any())
        ):
            raise GenerationError("a mask is bool or 0 and 1", field="mask")
        mask = mask != 0
    if mask.is_meta or torch.compiler.is_compiling():
        return mask
    return None if bool(mask.all()) else mask


def check_segments(segments: Tensor, tokens: Tensor) -> None:
    """Refuses what is not [B T] of whole numbers."""
    if not isinstance(segments, Tensor) or segments.is_floating_point():
        raise GenerationError("is a tensor of whole numbers, one a token", field="segments")
    if segments.shape != tokens.shape:
        reason = f"is {list(segments.shape)}, the tokens are {list(tokens.shape)}"
        raise GenerationError(reason, field="segments")


def check_marks(marks: Tensor | None, tokens: Tensor) -> Tensor | None:
    """Which tokens see all, as bool [B T]; None where nobody says."""
    if marks is None:
        return None
    if marks.shape != tokens.shape:
        reason = f"is {list(marks.shape)}, the tokens are {list(tokens.shape)}"
        raise GenerationError(reason, field="global_mask")
    return marks.bool()
