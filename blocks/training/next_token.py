"""The objective of language models: each token from those before it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from blocks.errors import GenerationError
from blocks.models.causal import CausalLM
from blocks.models.tokens import check_mask, check_segments, check_tokens
from blocks.ops.check import check_module

__all__ = ["next_token_loss"]

NOTHING = -100  # the target of a token that nothing is to be learnt from, as torch has it
ROWS = 256  # how many are scored at once by a head that knows no better way


def next_token_loss(
    model: CausalLM,
    tokens: Tensor,
    mask: Tensor | None = None,
    *,
    segments: Tensor | None = None,
    targets: Tensor | None = None,
) -> Tensor:
    r"""mean over t of −log p(token_{t+1} | tokens up to t), without holding the logits [B T V].

    A training step is `next_token_loss(model, tokens).backward()`. The mean is over all pairs of
    real neighbours in one document. Its gradient is that of the cross entropy of `model(tokens)`;
    it has no second derivative, and says so where one is asked for.

    Args:
        model: the language model; whether it drops channels is said by `model.train()`.
        tokens: [B T] int.
        mask: [B T] bool, True where a token is real.
        segments: [B T] int, several documents packed into one row.
        targets: [B T] int, what follows each token, or −100 where nothing is to be learnt; by
            default the next real token of the same document.

    Returns:
        A number, in at least float32.

    Errors:
        GenerationError: tokens or targets out of the vocabulary, a mask or targets of another
            shape, or no pair to learn from.

    Example:
        >>> import torch
        >>> from blocks import CausalLM, Chain, MLP, Spec, next_token_loss
        >>> model = CausalLM(vocab=9, dim=4, layers=(Spec(MLP, hidden=8),), norm=None)
        >>> loss = next_token_loss(model, torch.tensor([[1, 2, 3]]))
        >>> loss.backward()
        >>> loss.shape
        torch.Size([])
    """
    check_module(model, CausalLM, error=GenerationError)
    check_tokens(tokens, model.vocab)
    mask = check_mask(mask, tokens)
    if targets is None:
        targets = _following(tokens, mask, segments)
    else:
        _check_targets(targets, tokens, model.vocab)
        targets = targets if mask is None else targets.masked_fill(~mask, NOTHING)
    x = model.hidden(tokens, mask, segments=segments)  # B T D
    learnt = targets != NOTHING
    if not bool(learnt.any()):
        raise GenerationError("there is no pair of tokens to learn from", field="tokens")
    x, goal = x[learnt], targets[learnt].long()  # N D, N
    loss = getattr(model.head, "loss", None)
    return _by_rows(model.head, x, goal) if loss is None else loss(x, goal)


def _following(tokens: Tensor, mask: Tensor | None, segments: Tensor | None) -> Tensor:
    """[B T], the next token of each, where both are real and of one document."""
    joined = torch.ones_like(tokens[:, 1:], dtype=torch.bool)
    if mask is not None:
        joined = mask[:, 1:] & mask[:, :-1]
    if segments is not None:
        check_segments(segments, tokens)
        joined = joined & (segments[:, 1:] == segments[:, :-1])
    return F.pad(tokens[:, 1:].masked_fill(~joined, NOTHING), (0, 1), value=NOTHING)


def _check_targets(targets: Tensor, tokens: Tensor, vocab: int) -> None:
    if not isinstance(targets, Tensor) or targets.dtype not in (torch.int64, torch.int32):
        raise GenerationError("are a tensor of whole numbers, one a token", field="targets")
    if targets.shape != tokens.shape:
        reason = f"are {list(targets.shape)}, the tokens are {list(tokens.shape)}"
        raise GenerationError(reason, field="targets")
    wrong = targets[(targets != NOTHING) & ((targets < 0) | (targets >= vocab))]
    if len(wrong):
        reason = f"token {int(wrong[0])} is not in the vocabulary 0 … {vocab - 1}"
        raise GenerationError(reason, field="targets", hint=f"{NOTHING} is for nothing to learn")


def _by_rows(head: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    """The same with any head: some rows at once, whose logits the backward pass makes again."""

    def loss(rows: Tensor, goal: Tensor) -> Tensor:
        logits = head(rows)
        wide: Any = torch.promote_types(logits.dtype, torch.float32)
        return F.cross_entropy(logits.to(wide), goal, reduction="sum")

    pairs = zip(x.split(ROWS), targets.split(ROWS), strict=True)
    parts = [checkpoint(loss, rows, goal, use_reentrant=False) for rows, goal in pairs]
    return torch.stack(parts).sum() / len(targets)  # pyright: ignore[reportArgumentType]  # checkpoint is untyped
