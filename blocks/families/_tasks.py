"""The names of tensors where a model's head depends on the task that its config names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from blocks.hub.keys import Keys, Rule

Name = tuple[str, str] | Rule
Rules = Sequence[Name]


def table(
    task: str,
    prefix: str,
    ends: Mapping[str, Rules],
    below: Rules,
    *,
    bare: bool,
    ignore: Sequence[str] = (),
    apart: Iterable[str] = (),
) -> Keys:
    """The names of one task's tensors; those of other tasks' heads may lie beside them.

    Args:
        task: whose head the model has.
        prefix: of the names below the head, with its dot; either form loads.
        ends: the names of the head, by task.
        below: the names of everything below the head, without the prefix.
        bare: files are written without the prefix.
        ignore: templates that nothing reads.
        apart: how names of other models in the same file begin.
    """
    short = list(below)
    long = [_behind(prefix, rule) for rule in short]
    others = {_name(rule) for rules in ends.values() for rule in rules}
    others -= {_name(rule) for rule in ends[task]}
    return Keys(
        *(short + long if bare else long + short),
        *ends[task],
        ignore=ignore,
        apart=tuple(sorted({*(name.partition("{")[0] for name in others), *apart})),
    )


def _name(rule: Name) -> str:
    return rule.theirs if isinstance(rule, Rule) else rule[0]


def _behind(prefix: str, rule: Name) -> Name:
    if isinstance(rule, Rule):
        return dataclasses.replace(rule, theirs=prefix + rule.theirs)
    return prefix + rule[0], rule[1]
