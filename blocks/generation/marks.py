"""Tokens by which a model of speech is told the language and the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from blocks.errors import GenerationError
from blocks.generation.rulebook import defaults_of
from blocks.generation.timestamps import Timestamps

TASKS = ("transcribe", "translate")


@dataclass(frozen=True)
class Marks:
    """What a checkpoint's generation_config.json says of the tokens before a text.

    Attributes:
        start: what every answer begins with.
        end: what ends it.
        languages: tokens by code: `en`. Empty for a model of one language.
        tasks: tokens by name.
        timeless: the token after which no times are said; None where there is none.
        latest: as of `Timestamps`.
    """

    start: int
    end: int
    languages: Mapping[str, int]
    tasks: Mapping[str, int]
    timeless: int | None
    latest: int | None

    @classmethod
    def of(cls, model: Any, tokenizer: Any = None) -> Marks:
        """Those of a model; what its files leave out, the tokenizer may know by name."""
        defaults = defaults_of(model)
        other, start = defaults.other, defaults.start
        if start is None or not defaults.eos:
            raise GenerationError(
                "which tokens begin and end an answer is not known",
                field="generation",
                hint="generation_config.json says it: decoder_start_token_id, eos_token_id",
            )
        several = other.get("is_multilingual", True) is not False
        said = {
            "languages": _table(other, "lang_to_id", model.vocab) if several else {},
            "tasks": _table(other, "task_to_id", model.vocab) if several else {},
        }
        timeless = _one(other, "no_timestamps_token_id", model.vocab)
        if tokenizer is not None and several and not said["tasks"]:
            said["tasks"] = _named(tokenizer, TASKS)
        if tokenizer is not None and timeless is None:
            timeless = tokenizer.id("<|notimestamps|>")
        latest = _one(other, "max_initial_timestamp_index", model.vocab)
        return cls(start, defaults.eos[0], **said, timeless=timeless, latest=latest)

    def language_of(self, code: str, tokenizer: Any = None) -> int:
        """The token of a language."""
        name = bare(code)
        known = self.languages or _named(tokenizer, (name,))
        if name not in known:
            near = get_close_matches(name, self.languages, n=3)
            hint = f"near: {', '.join(near)}; " if near else ""
            codes = ", ".join(self.languages) or "none"
            raise GenerationError(
                f"{code!r} is no language of this model",
                field="language",
                hint=f"{hint}known: {codes}",
            )
        return known[name]

    def begin(self, language: int | None, task: str, *, timed: bool) -> list[int]:
        """What an answer begins with."""
        if task not in TASKS:
            raise GenerationError(f"{task!r} is neither of {', '.join(TASKS)}", field="task")
        if task not in self.tasks and task != "transcribe":
            raise GenerationError("this model can't translate", field="task")
        if timed and self.timeless is None:
            raise GenerationError(
                "this checkpoint doesn't say which tokens are times",
                field="timestamps",
                hint="generation_config.json says it: no_timestamps_token_id",
            )
        ids = [self.start, language, self.tasks.get(task), None if timed else self.timeless]
        return [id for id in ids if id is not None]

    def spoken(self, logits: Tensor) -> str:
        """The likeliest language, by the logits [V] after the first token."""
        ids = torch.tensor(list(self.languages.values()), device=logits.device)
        return list(self.languages)[int(logits[ids].argmax())]

    @property
    def first(self) -> int | None:
        """The token of time 0."""
        return None if self.timeless is None else self.timeless + 1

    @property
    def rules(self) -> list[Timestamps]:
        """What a text with times obeys."""
        return [] if self.first is None else [Timestamps(self.first, self.end, self.latest)]


def bare(mark: str) -> str:
    """`en` of `<|en|>`, and of itself."""
    return mark.lower().removeprefix("<|").removesuffix("|>")


def _one(other: Mapping[str, Any], name: str, vocab: int) -> int | None:
    value = other.get(name)
    if value is not None and (not isinstance(value, int) or not 0 <= value < vocab):
        raise GenerationError(f"{value!r} is not in the vocabulary of {vocab}", field=name)
    return value


def _table(other: Mapping[str, Any], name: str, vocab: int) -> dict[str, int]:
    table = other.get(name) or {}
    if not isinstance(table, Mapping):
        raise GenerationError(f"{table!r} is not a table of tokens", field=name)
    ids = {bare(key): _one(table, key, vocab) for key in table}
    return {key: id for key, id in ids.items() if id is not None}


def _named(tokenizer: Any, names: tuple[str, ...]) -> dict[str, int]:
    found = {} if tokenizer is None else {name: tokenizer.id(f"<|{name}|>") for name in names}
    return {name: id for name, id in found.items() if id is not None}
