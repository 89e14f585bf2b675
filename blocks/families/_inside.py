"""Text models inside larger ones: what their tensors are called there."""

from __future__ import annotations

from dataclasses import replace

from blocks.hub.keys import Keys, Rule

# How names begin alone, and inside: as published files have them, and as transformers 5 has.
_FRONTS = (
    {"model.": "language_model.model.", "lm_head.": "language_model.lm_head."},
    {"model.": "model.language_model.", "lm_head.": "lm_head."},
)

# What sees images, in both forms.
VISION = tuple(
    front + part for front in ("", "model.") for part in ("vision_tower.", "multi_modal_projector.")
)


def inside(text: Keys, *own: tuple[str, str] | Rule, apart: tuple[str, ...] = ()) -> Keys:
    """A text model's table under the names that its tensors have inside a larger model.

    Args:
        text: the table of the model alone.
        *own: rules of what the larger model has beside it.
        apart: how the names of other models begin.
    """
    rules = [
        replace(rule, theirs=_moved(rule.theirs, fronts))
        for fronts in _FRONTS
        for rule in text.rules
    ]
    ignore = [_moved(form, fronts) for fronts in _FRONTS for form in sorted(text.ignore)]
    return Keys(*rules, *own, ignore=ignore, apart=apart)


def _moved(name: str, fronts: dict[str, str]) -> str:
    alone = next(alone for alone in fronts if name.startswith(alone))
    return fronts[alone] + name.removeprefix(alone)
