"""Two streams: what stands at some places, told from any choice of the other tokens."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from blocks.embedding.query import QueryEmbedding
from blocks.errors import GenerationError
from blocks.models.encoder import Encoder
from blocks.models.tokens import check_mask, check_tokens
from blocks.ops.check import check_module
from blocks.ops.wants import call, wants
from blocks.state import Clock, State
from blocks.step import Step

__all__ = ["two_streams"]


def two_streams(
    model: Encoder,
    tokens: Tensor,
    targets: Tensor | None = None,
    *,
    seen: Tensor | None = None,
    mask: Tensor | None = None,
    types: Tensor | None = None,
    state: State | None = None,
) -> Tensor:
    """What an encoder says at each token, or what it would say at places whose token is hidden.

    The content stream is the tokens; each sees itself and what `seen` lets it. The query stream
    begins with nothing but the places in question; each sees of the content what the token there
    sees without itself. No token sees the query stream, so that any order in which a text may be
    told is one `seen`. Yang et al., "XLNet", 2019, arXiv:1906.08237, section 2.3.

    Args:
        model: an encoder whose embedding is a `QueryEmbedding`.
        tokens: [B T] int.
        targets: [B P] int, the places in question; None answers for each token by its content.
        seen: [B T T] bool, True where a token may look at another: in an order of the tokens,
            those that come before it. By default all look at all but the targets.
        mask: [B T] bool, True where a token is real.
        types: [B T] int, which text of a pair a token belongs to.
        state: `State.of(model.layers, B)`: the memory of earlier segments; these tokens join it.

    Returns:
        The head's answer, or hidden states where there is no head, for each token or target.

    Errors:
        GenerationError: targets that are no places of the text, a `seen` of another shape, an
            embedding without a row for queries, or a state of something else than the layers.

    Example:
        >>> import torch
        >>> from blocks import Full, MaskedLM, QueryEmbedding, RelativeAttention, Residual, Spec
        >>> attention = Spec(RelativeAttention, heads=2, mask=Full())
        >>> layers = (Spec(Residual, inner=attention),)
        >>> model = MaskedLM(vocab=100, dim=16, layers=layers, embedding=QueryEmbedding)
        >>> two_streams(model, torch.tensor([[1, 2, 3]]), torch.tensor([[1]])).shape
        torch.Size([1, 1, 100])
    """
    check_module(model, Encoder, error=GenerationError)
    check_tokens(tokens, model.vocab)
    mask = check_mask(mask, tokens)
    _check(model, tokens, targets, seen, types)
    if state is not None and not isinstance(state.content, list):
        raise GenerationError("is none of the model's layers", field="state")
    begun = State(Clock(len(tokens), None, tokens.device), None) if state is None else state
    step = replace(begun.begin(len(tokens), tokens.shape[1], mask), types=types)
    if seen is None and targets is not None:
        hidden = torch.zeros_like(tokens, dtype=torch.bool).scatter(1, targets, True)
        seen = ~hidden[:, None].expand(-1, tokens.shape[1], -1)  # B T T
    if seen is not None:
        step.seen = seen | torch.eye(seen.shape[1], dtype=torch.bool, device=seen.device)
    answers = step
    if targets is not None and seen is not None:
        step, answers = _with_queries(step, tokens, targets, seen)
        tokens = F.pad(tokens, (0, targets.shape[1]), value=-1)
    x = model.read(tokens, step, begun.content)
    begun.end(step)
    if targets is not None:
        x = x[:, -targets.shape[1] :]  # B P D
    return x if model.head is None else call(model.head, x, answers, None, wants(model.head))


def _with_queries(step: Step, tokens: Tensor, targets: Tensor, seen: Tensor) -> tuple[Step, Step]:
    """The step of both streams, and that of the queries alone."""
    rows, length = tokens.shape

    def at(values: Tensor) -> Tensor:
        return values.expand(rows, -1).gather(1, targets)  # B P

    told = seen.gather(1, targets[..., None].expand(-1, -1, length))  # B P T
    content = seen if step.seen is None else step.seen  # B T T
    real = torch.ones_like(tokens, dtype=torch.bool) if step.real is None else step.real
    count = targets.shape[1]
    queries = Step(at(step.positions), types=None if step.types is None else at(step.types))
    both = replace(
        step,
        positions=torch.cat([step.positions.expand(rows, -1), queries.positions], 1),
        real=F.pad(real, (0, count), value=False),  # nobody looks at a query or remembers one
        seen=F.pad(torch.cat([content, told], 1), (0, count), value=False),
        _made={},  # of other positions
    )
    if step.types is not None and queries.types is not None:
        both.types = torch.cat([step.types, queries.types], 1)
    return both, queries


def _check(
    model: Encoder,
    tokens: Tensor,
    targets: Tensor | None,
    seen: Tensor | None,
    types: Tensor | None,
) -> None:
    rows, length = tokens.shape
    if types is not None and types.shape != tokens.shape:
        raise GenerationError(f"{list(types.shape)}, not [{rows}, {length}]", field="types")
    if seen is not None and (seen.shape != (rows, length, length) or seen.dtype != torch.bool):
        wanted = f"bool [{rows}, {length}, {length}]"
        raise GenerationError(f"{seen.dtype} {list(seen.shape)}, not {wanted}", field="seen")
    if targets is None:
        return
    if not isinstance(model.embedding, QueryEmbedding):
        raise GenerationError("has no row for queries", field="embedding")
    if targets.dim() != 2 or len(targets) != rows:
        raise GenerationError(f"{list(targets.shape)}, not [{rows}, P]", field="targets")
    if targets.numel() == 0 or not 0 <= int(targets.min()) <= int(targets.max()) < length:
        raise GenerationError(f"not places of 0 … {length - 1}", field="targets")
