"""embed: what texts mean, as vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from blocks.errors import GenerationError
from blocks.generation.finite import check_finite
from blocks.generation.origin import tokenizer_of
from blocks.heads.sentence import SentenceHead
from blocks.hub.progress import progress
from blocks.models.encoder import Encoder
from blocks.models.masked import MaskedLM

__all__ = ["embed"]


@torch.no_grad()
def embed(
    model: Encoder,
    texts: str | Sequence[str],
    *,
    tokenizer: Any = None,
    batch: int = 32,
    truncate: bool = False,
) -> Tensor:
    """One vector for each text, to be compared by their products.

    Args:
        model: an `Encoder` with a `SentenceHead`, such as a sentence-transformers repository gives.
        texts: one, or many.
        tokenizer: None takes the one of the model's own checkpoint.
        batch: how many texts are read at once; those of like length are read together.
        truncate: read the beginning of a text that is longer than the model's context; otherwise
            it is an error.

    Returns:
        [N D], in the order of the texts; [D] for a single text.

    Errors:
        GenerationError: a model without such a head, no text, one that is too long, or vectors that
            are not finite (the first bad tensor of the model is named).

    Example:
        >>> import blocks
        >>> from tokenizers import Tokenizer as Trained, models, pre_tokenizers
        >>> words = {"[PAD]": 0, "hello": 1, "world": 2}
        >>> trained = Trained(models.WordLevel(words, unk_token="[PAD]"))
        >>> trained.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> layer = blocks.Spec(blocks.GQAttention, heads=2, mask=blocks.Full())
        >>> model = blocks.Encoder(vocab=3, dim=4, layers=(layer,), head=blocks.SentenceHead)
        >>> tokenizer = blocks.Tokenizer.from_backend(trained)
        >>> blocks.embed(model, ["hello", "hello world"], tokenizer=tokenizer).shape
        torch.Size([2, 4])
    """
    if not isinstance(getattr(model, "head", None), SentenceHead):
        hint = "rewrite=lambda spec: replace(spec, head=Spec(SentenceHead, pool='mean'))"
        raise GenerationError(
            f"{type(model).__name__} without a SentenceHead makes no vectors of texts",
            field="model",
            hint="an Encoder with a SentenceHead does" if isinstance(model, MaskedLM) else hint,
        )
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise GenerationError(f"{batch!r} is not a whole number above zero", field="batch")
    one = isinstance(texts, str)
    every = [texts] if isinstance(texts, str) else texts
    every = list(every) if isinstance(every, Iterable) else []
    if not every or not all(isinstance(text, str) for text in every):
        raise GenerationError("are no texts, or none at all", field="texts")
    tokenizer = tokenizer_of(model, tokenizer)
    rows = [_read(tokenizer, text, model.context, truncate) for text in every]
    order = sorted(range(len(rows)), key=lambda n: len(rows[n]))
    device, training = next(model.parameters()).device, model.training
    found: list[Tensor] = [torch.empty(0)] * len(rows)
    try:
        model.eval()
        starts = range(0, len(rows), batch)
        for at in progress(starts, "embedding"):
            chosen = order[at : at + batch]
            tokens = pad_sequence([rows[n] for n in chosen], batch_first=True)
            lengths = torch.tensor([len(rows[n]) for n in chosen])
            mask = torch.arange(tokens.shape[1]) < lengths[:, None]
            given = tokens.to(device), mask.to(device)
            vectors = model(*given)
            check_finite(model, vectors, partial(model, *given), "vectors")
            for n, vector in zip(chosen, vectors, strict=True):
                found[n] = vector
    finally:
        model.train(training)
    return found[0] if one else torch.stack(found)


def _read(tokenizer: Any, text: str, context: int | None, truncate: bool) -> Tensor:
    ids = tokenizer.encode(text)
    if not ids:
        raise GenerationError("is empty", field="texts")
    if context is not None and len(ids) > context:
        if not truncate:
            raise GenerationError(
                f"{len(ids)} tokens are more than the model's context of {context}",
                field="texts",
                hint="cut the text, or pass truncate=True",
            )
        # What a tokenizer sets at the end of a text stays there.
        end = len(ids) - len(tokenizer.encode(text, special=False)) > 1
        ids = [*ids[: context - 1], ids[-1]] if end else ids[:context]
    return torch.tensor(ids)
