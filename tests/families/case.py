"""What the battery knows about a family: its references, variants, mutations and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from tests.families.ageing import ROTARY_TABLES, old_config

TOKENS = 40
TOLERANCE = 1e-5  # of the logits' standard deviation
Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Variant:
    """One tiny config of a family.

    Attributes:
        options: of the reference's config class, over those of the case.
        prompt: tokens before generation starts.
        generates: why generation can't be compared with the reference, if it can't.
        model: the reference's model class, where this variant has another head than the case's.
        answer: what of the reference's output is compared.
        padded: why padding can't be compared with the reference, if it can't.
        kind: of the case, where this variant is of another one.
        reads: tokens as this variant can be given them.
        asks: what else the reference is given with such tokens.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: int = 20
    generates: str | None = None
    model: type[Any] | None = None
    answer: Callable[[Any], Tensor] = attrgetter("logits")
    padded: str | None = None
    kind: str | None = None
    reads: Change = lambda tokens: tokens
    asks: Callable[[Tensor], dict[str, Any]] = lambda tokens: {}


@dataclass(frozen=True)
class Case:
    """What the battery knows about one family.

    Attributes:
        config: the reference's config class.
        model: the reference's model class.
        base: options of every variant.
        variants: by name; the first is the plain one.
        mutations: by name: the variant it is tried on, and a function from its Spec to another
            that must break parity.
        published: by repository: its config.json and how many parameters it has.
        real: folders of ../shared/data/hub and how many values their weights have.
        untried: fields that have one value alone.
        attention: which of the reference's attention functions is compared with.
        fused: whether the reference can write a second form, with stacked experts.
        fields: what this family calls the fields that tests ask for, where it is another name than
            LLaMA's; None where it has no such field.
        extra: templates of tensors that older files hold and that nobody may read.
        older: config.json as transformers 5 writes it -> as transformers 4 wrote it.
        missing_prefix: what files may leave out at the beginning of names.
        tied: whether a config that says nothing of it ties the head.
        inside: the field of config.json that holds the text model's own config, where there is one;
            options of variants that the base hasn't are of it.
        implied: fields that may be absent, of those that every decoder must say.
        exported: the reference's class of what is exported, where that is another.
        kind: `decoder`, `encoder`, or `pair` for encoder–decoders, whose tokens are the source and
            whose target is drawn beside it; `hearer` and `transcriber` for the same two of sound.
        table: the address of the table of tokens, which a tied head shares.
        channels: of frames of sound, where a model hears those instead of reading tokens.
        hears: such frames [B T C] as the reference wants them.
        huge: fields that agree with a width of 2^46.
        tolerance: how far ours may be from the reference, in standard deviations of its logits;
            recurrences add up over a whole text, in another order than the reference.
        spread: of its scrambled matrices; less than 1.2 where with that the reference's own answer
            in float32 is no nearer to that in float64.
    """

    config: type[Any]
    model: type[Any]
    base: Mapping[str, Any]
    variants: Mapping[str, Variant]
    mutations: Mapping[str, tuple[str, Change]]
    published: Mapping[str, tuple[Mapping[str, Any], int]]
    real: Mapping[str, int] = field(default_factory=dict)
    untried: frozenset[str] = frozenset()
    attention: str = "eager"
    fused: bool = False
    fields: Mapping[str, str | None] = field(default_factory=dict)
    extra: tuple[str, ...] = ROTARY_TABLES
    older: Callable[..., dict[str, Any]] = old_config
    missing_prefix: str = ""
    tied: bool = False
    inside: str = ""
    implied: frozenset[str] = frozenset()
    exported: type[Any] | None = None
    kind: str = "decoder"
    table: str = "embedding.weight"
    channels: int | None = None
    hears: Callable[[Tensor], Tensor] = lambda frames: frames
    huge: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = TOLERANCE
    spread: float = 1.2

    def source(self, rows: int, draw: torch.Generator) -> Tensor:
        """What a model is given: tokens, or frames of sound."""
        if self.channels is None:
            return torch.randint(0, self.vocab, (rows, TOKENS), generator=draw)
        return torch.randn(rows, TOKENS, self.channels, generator=draw)

    def field_of(self, name: str) -> str | None:
        """The family's name of a field that LLaMA calls `name`."""
        return self.fields.get(name, name)

    def path(self, name: str) -> str:
        """A field as errors name it."""
        return f"{self.inside}.{name}" if self.inside else name

    def body(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of the text model in a config.json."""
        return data[self.inside] if self.inside else data

    def with_body(self, data: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
        """config.json with all its fields of the text model replaced."""
        return {**data, self.inside: dict(body)} if self.inside else dict(body)

    def put(self, data: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
        """config.json with other fields of the text model."""
        return self.with_body(data, {**self.body(data), **fields})

    def options(self, variant: Variant) -> dict[str, Any]:
        """What the reference's config class is given for a variant."""
        outer = {name: value for name, value in variant.options.items() if name in self.base}
        inner = {name: value for name, value in variant.options.items() if name not in outer}
        return self.put({**self.base, **outer}, inner)

    def kind_of(self, variant: str) -> str:
        """What kind of model a variant is."""
        return self.variants[variant].kind or self.kind

    @property
    def vocab(self) -> int:
        return {**self.base, **self.body(self.base)}["vocab_size"]
