"""fill_mask: which tokens stand behind the masks of a text."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from blocks.errors import GenerationError
from blocks.generation.finite import check_finite
from blocks.generation.origin import tokenizer_of
from blocks.models.masked import MaskedLM

__all__ = ["Filling", "fill_mask"]


class Filling(NamedTuple):
    """A token that may stand behind a mask.

    Attributes:
        probability: by the model, among all tokens.
        token: its id.
        text: what it says.
    """

    probability: float
    token: int
    text: str


@torch.no_grad()
def fill_mask(
    model: MaskedLM, text: str, *, tokenizer: Any = None, top: int = 5
) -> list[list[Filling]]:
    """Tells what stands behind each mask of a text, the likeliest first.

    Args:
        model: a `MaskedLM`, such as BERT.
        text: holds the tokenizer's mask token, `[MASK]` or `<mask>`, once or more.
        tokenizer: None takes the one of the model's own checkpoint.
        top: how many tokens are given for each mask.

    Errors:
        GenerationError: another kind of model; a text without a mask, or longer than the model's
            context; no tokenizer, or one that has no mask token.

    Example:
        >>> import blocks
        >>> from tokenizers import Tokenizer as Trained, models
        >>> words = {"[MASK]": 0, "hello": 1, "world": 2}
        >>> trained = Trained(models.WordLevel(words, unk_token="hello"))
        >>> attention = blocks.Spec(blocks.GQAttention, heads=2, mask=blocks.Full())
        >>> model = blocks.MaskedLM(vocab=3, dim=4, layers=(attention,))
        >>> tokenizer = blocks.Tokenizer.from_backend(trained, mask="[MASK]")
        >>> [best] = blocks.fill_mask(model, "[MASK]", tokenizer=tokenizer, top=3)
        >>> round(sum(each.probability for each in best), 4)
        1.0
    """
    if not isinstance(model, MaskedLM):
        name = type(model).__name__
        raise GenerationError(f"{name} fills no masks, MaskedLM does", field="model")
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise GenerationError(f"{top!r} is not a whole number above zero", field="top")
    tokenizer = tokenizer_of(model, tokenizer)
    mask = tokenizer.mask
    if mask is None:
        raise GenerationError("has no mask token", field="tokenizer")
    ids = tokenizer.encode(text)
    if mask not in ids:
        hint = f"write {tokenizer.token(mask)} where a token is to be told"
        raise GenerationError("holds no mask", field="text", hint=hint)
    if model.context is not None and len(ids) > model.context:
        reason = f"{len(ids)} tokens are more than the model's context of {model.context}"
        raise GenerationError(reason, field="text", hint="shorten it")
    tokens = torch.tensor([ids], device=next(model.parameters()).device)
    training = model.training
    try:
        logits = model.eval()(tokens)
        check_finite(model, logits, lambda: model(tokens))
    finally:
        model.train(training)
    masked = logits[0, tokens[0] == mask].float().softmax(-1)  # masks V
    found = masked[:, : tokenizer.vocab].topk(min(top, model.vocab, tokenizer.vocab))
    return [
        [Filling(p, id, _said(tokenizer, id)) for p, id in zip(*each, strict=True)]
        for each in zip(found.values.tolist(), found.indices.tolist(), strict=True)
    ]


def _said(tokenizer: Any, id: int) -> str:
    known = tokenizer.token(id) is not None  # a vocabulary may have holes
    return tokenizer.decode([id], skip_special=False) if known else ""
