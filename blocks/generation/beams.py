"""Beam search: several texts at once, of which the likeliest are followed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.generation.request import Request
from blocks.generation.rulebook import Rulebook, defaults_of
from blocks.generation.scores import Rule

__all__ = ["beam_search"]

_BEAMS = 4
_MOST = 1024  # beams: each has a memory of its own
_STEEPEST = 10  # beyond it, scores of long texts are not told apart in 32 bits


@torch.no_grad()
def beam_search(
    model: Any,
    tokens: Any,
    *,
    beams: int | None = None,
    max_new_tokens: int = 128,
    min_new_tokens: int | None = None,
    length_penalty: float | None = None,
    early_stopping: bool | Literal["never"] | None = None,
    returned: int = 1,
    repetition_penalty: float | None = None,
    no_repeat_ngram: int | None = None,
    rules: Sequence[Rule] = (),
    stop: int | str | Sequence[int | str] | None = None,
    start: int | Sequence[int] | Sequence[Sequence[int]] | None = None,
    mask: Tensor | None = None,
    tokenizer: Any = None,
) -> tuple[Tensor, Tensor]:
    r"""Finds likely texts: at every token the `beams` likeliest beginnings are kept.

        score(y) = Σ log p(y_t | y_<t) / n^length_penalty          n tokens that were added

    Args:
        model, tokens: as of `generate`.
        beams: how many beginnings are followed. None: what the checkpoint says, 4 where it doesn't.
        length_penalty: above 0 favours long texts, below 0 short ones. None: what the checkpoint
            says, else 1.
        early_stopping: when to stop looking. True: as soon as there are `beams` whole texts. False:
            once no beginning that is followed has a score, at its present length, above the worst
            of them. "never": once none can reach it at any length. None: what the checkpoint says,
            else False.
        returned: how many texts of each prompt are given, the best first.
        max_new_tokens, min_new_tokens, stop, start, mask, tokenizer: as of `generate`.
        repetition_penalty, no_repeat_ngram, rules: as of `generate`; what they change are log
            probabilities.

    Returns:
        Scores [B · returned] float32 and texts [B · returned, T + new] int64, those of one prompt
        together, filled with the padding token. A score of -inf: there are no more texts.

    Errors:
        GenerationError: as of `generate`; an argument out of range.

    Example:
        >>> import blocks
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> options = {"beams": 3, "max_new_tokens": 5, "returned": 2}
        >>> scores, ids = blocks.beam_search(model, [1, 2, 3], **options)
        >>> ids.shape, bool(scores[0] >= scores[1])
        (torch.Size([2, 8]), True)
    """
    defaults = defaults_of(model)
    if beams is None:
        beams = defaults.beams if defaults.beams > 1 else _BEAMS
    search = _Search(
        beams,
        defaults.length_penalty if length_penalty is None else length_penalty,
        defaults.early_stopping if early_stopping is None else early_stopping,
    )
    _check_count("returned", returned, beams)
    book = Rulebook(model, rules, repetition_penalty, no_repeat_ngram, min_new_tokens)
    asked = {"max_new_tokens": max_new_tokens, "stop": stop, "start": start}
    request = Request(model, tokens, mask, rules=book, tokenizer=tokenizer, **asked)
    found = search(request)
    scores, texts, lengths = (part[:, :returned] for part in found)
    if bool((scores[:, 0] == -math.inf).any()):
        raise GenerationError("no text obeys the rules", field="rules")
    added = texts.flatten(0, 1)[:, : int(lengths.max())]
    given = request.prompt.given.repeat_interleave(returned, 0)
    return scores.flatten(), torch.cat([given, added], 1)


def _check_count(field: str, value: Any, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        bound = f" up to {most}"
        raise GenerationError(f"{value!r} is not a whole number above zero{bound}", field=field)


@dataclass(frozen=True)
class _Search:
    """How texts are searched for; called with a request, it gives `_Found`."""

    beams: int
    length_penalty: float
    early_stopping: bool | Literal["never"]

    def __post_init__(self) -> None:
        _check_count("beams", self.beams, _MOST)
        value = self.length_penalty
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= _STEEPEST:
            reason = f"{value!r} is not a number in [-{_STEEPEST}, {_STEEPEST}]"
            raise GenerationError(reason, field="length_penalty")
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            reason = f'{self.early_stopping!r} is none of True, False and "never"'
            raise GenerationError(reason, field="early_stopping")

    def __call__(self, request: Request) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [B K], added tokens [B K most] and their numbers [B K], K beams, best first."""
        beams, draft, stopping = self.beams, request.draft(), request.stopping
        batch, device = len(draft.ids), draft.ids.device
        rows = torch.arange(batch, device=device).repeat_interleave(beams)
        running = torch.full((batch, beams), -math.inf, device=device)
        running[:, 0] = 0  # a row's beams are one text as yet: the others would say the same
        found = _Found(batch, beams, request, device)
        kept = max(2, 1 + len(stopping.ids)) * beams  # so many that `beams` of them go on
        with request.reading() as reading:
            logits = reading.begin()[rows]  # B·K V
            reading.select(rows)
            draft.select(rows)
            while True:
                scores = request.rules(logits.float().log_softmax(-1), draft)
                total = (running.flatten()[:, None] + scores).view(batch, -1)  # B K·V
                best, index = total.topk(min(kept, total.shape[1]))  # B C
                beam, token = index // scores.shape[1], index % scores.shape[1]
                beam = beam + torch.arange(batch, device=device)[:, None] * beams
                texts = torch.cat([draft.added[beam], token[..., None]], 2)  # B C new
                new = texts.shape[2]
                ends = stopping.ends(texts.flatten(0, 1)).view_as(best) | (new == request.most)
                whole = torch.where(ends, best, -math.inf)[:, :beams]
                stop_full = self.early_stopping is True
                found.add(whole / self._weight(new), texts[:, :beams], stop_full)
                running, order = torch.where(ends, -math.inf, best).topk(beams)  # B K
                longest = self.early_stopping == "never" and self.length_penalty > 0
                reach = running[:, 0] / self._weight(request.most if longest else new)
                found.open &= reach > found.scores[:, -1]
                if not found.open.any() or ends.all() or (stop_full and found.full.all()):
                    return found.scores, found.texts, found.lengths
                rows, column = beam.gather(1, order).flatten(), token.gather(1, order).flatten()
                reading.select(rows)
                draft.select(rows)
                draft.append(column)
                logits = reading.next(draft, column)

    def _weight(self, tokens: int) -> Tensor:
        return torch.tensor(float(tokens), dtype=torch.float64).pow(self.length_penalty)


class _Found:
    """The best whole texts of each prompt so far, the best first.

    Attributes:
        scores: [B K], -inf where there is no text yet.
        texts: [B K most], filled with the padding token.
        lengths: [B K].
        open: [B], whether more are taken.
    """

    def __init__(self, batch: int, beams: int, request: Request, device: torch.device):
        self.scores = torch.full((batch, beams), -math.inf, device=device)
        self._pad = request.stopping.pad
        self.texts = torch.full((batch, beams, request.most), self._pad, device=device)
        self.lengths = torch.zeros(batch, beams, dtype=torch.int64, device=device)
        self.open = torch.ones(batch, dtype=torch.bool, device=device)

    @property
    def full(self) -> Tensor:
        """[B]: whether there are as many texts as beams."""
        return self.scores[:, -1] > -math.inf

    def add(self, scores: Tensor, texts: Tensor, stop_full: bool) -> None:
        """Takes texts [B C T] with their scores [B C] where they are among the best."""
        taken = self.open & ~self.full if stop_full else self.open
        scores = torch.where(taken[:, None], scores, -math.inf)
        new = texts.shape[2]
        texts = nn.functional.pad(texts, (0, self.texts.shape[2] - new), value=self._pad)
        both = torch.cat([self.scores, scores], 1)
        self.scores, order = both.topk(self.scores.shape[1])
        lengths = torch.cat([self.lengths, torch.full_like(self.lengths, new)], 1)
        self.lengths = lengths.gather(1, order)
        self.texts = torch.cat([self.texts, texts], 1).take_along_dim(order[..., None], 1)
