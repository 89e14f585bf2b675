"""Which rules a text obeys: the checkpoint's, those that are asked for, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.banning import BadWords, Suppressed, SuppressedFirst
from blocks.generation.draft import Draft
from blocks.generation.forcing import ForcedFirst, ForcedLast, MinLength, MinNewTokens, Renormalize
from blocks.generation.repeating import NoRepeatNGram, NoSourceNGram, RepetitionPenalty
from blocks.generation.scores import Rule
from blocks.hub.defaults import GenerationDefaults

# In the order in which they act, with the checkpoint's field that each is about.
KINDS: dict[type, str] = {
    RepetitionPenalty: "repetition_penalty",
    NoRepeatNGram: "no_repeat_ngram",
    NoSourceNGram: "no_source_ngram",
    BadWords: "bad_words",
    MinLength: "min_length",
    MinNewTokens: "min_new_tokens",
    ForcedFirst: "forced_first",
    ForcedLast: "forced_last",
    Suppressed: "suppressed",
    SuppressedFirst: "suppressed_first",
    Renormalize: "renormalize",
}


def defaults_of(model: Any) -> GenerationDefaults:
    """What the model's checkpoint says of generation."""
    return getattr(model, "generation", None) or GenerationDefaults()


class Rulebook:
    """The rules of one request.

    Args:
        model: its checkpoint's rules hold.
        given: rules that take the place of the checkpoint's of the same kind, or act after them.
        repetition_penalty, no_repeat_ngram, min_new_tokens: the rules of these names; None leaves
            them as they are.
    """

    def __init__(
        self,
        model: Any,
        given: Any,
        repetition_penalty: float | None,
        no_repeat_ngram: int | None,
        min_new_tokens: int | None,
    ):
        if not isinstance(given, Iterable) or not all(map(callable, given := list(given))):
            raise GenerationError("must be callables (scores, draft) -> scores", field="rules")
        if repetition_penalty is not None:
            given.append(RepetitionPenalty(repetition_penalty))
        if no_repeat_ngram is not None:
            given.append(NoRepeatNGram(no_repeat_ngram))
        if min_new_tokens is not None:
            given.append(MinNewTokens(min_new_tokens))
        defaults = defaults_of(model)
        known = {kind: kind(getattr(defaults, name)) for kind, name in KINDS.items()}
        for rule in given:
            if type(rule) in known:
                known[type(rule)] = rule
            if isinstance(rule, MinNewTokens):
                known[MinLength] = MinLength()
        if known[ForcedFirst] != ForcedFirst() and known[SuppressedFirst] != SuppressedFirst():
            known[SuppressedFirst] = replace(known[SuppressedFirst], forced=True)
        own = [rule for rule in given if type(rule) not in known]
        kept = [rule for kind, rule in known.items() if rule != kind()]
        last = [rule for rule in kept if isinstance(rule, Renormalize)]
        self.rules: list[Rule] = [r for r in kept if r not in last] + own + last

    def __call__(self, scores: Tensor, draft: Draft) -> Tensor:
        """The scores [N V] of the next tokens, after all rules."""
        for rule in self.rules:
            after = rule(scores, draft)
            if type(rule) not in KINDS:
                _check_scores(after, scores, rule)
            scores = after
        return scores

    def check_left(self, scores: Tensor) -> None:
        """Refuses scores by which no token can come."""
        if self.rules and bool((scores.amax(-1) == -math.inf).any()):
            names = ", ".join(map(_name, self.rules))
            raise GenerationError(f"no token is left by {names}", field="rules")


def _name(rule: Rule) -> str:
    return getattr(rule, "__name__", type(rule).__name__)


def _check_scores(after: Any, before: Tensor, rule: Rule) -> None:
    """Refuses what a rule of one's own must not give."""
    if not isinstance(after, Tensor) or after.shape != before.shape:
        kind = list(after.shape) if isinstance(after, Tensor) else type(after).__name__
        reason = f"{_name(rule)} gives {kind}, not scores {list(before.shape)}"
        raise GenerationError(reason, field="rules")
    if bool(after.isnan().any()):
        raise GenerationError(f"{_name(rule)} gives scores that are NaN", field="rules")
