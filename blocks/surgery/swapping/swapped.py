"""What a swap did to every tensor, and to what the model says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from blocks.hub.columns import columns, counted, folded, form

__all__ = ["SwapReport"]

_KINDS = ("copied", "converted", "new", "dropped")


@dataclass(frozen=True)
class Fate:
    """What became of one tensor.

    Attributes:
        address: where it is in the new model, or was in the old one if it was dropped.
        parameters: its numbers.
        sources: addresses of the old tensors it was made of.
        words: how, as its rule says.
    """

    address: str
    parameters: int
    sources: tuple[str, ...] = ()
    words: str = ""


@dataclass(frozen=True)
class LogitChange:
    """How far the new model's answer to a probe is from the old one's.

    Attributes:
        tokens: of the probe.
        largest, mean: of the differences between the logits.
        kl: mean over tokens of KL(old ‖ new), in nats; None where answers are no logits.
        agreement: share of tokens at which both think the same token the likeliest.
        loss_before, loss_after: mean of −log p of the next token, in nats; None where a model
            doesn't say the next token.
    """

    tokens: int
    largest: float
    mean: float
    kl: float | None = None
    agreement: float | None = None
    loss_before: float | None = None
    loss_after: float | None = None

    def __str__(self) -> str:
        text = f"on {self.tokens} tokens: logits differ by {self.largest:.3g}, {self.mean:.3g} mean"
        if self.kl is not None:
            text += f"; KL {self.kl:.3g}, same first choice {self.agreement:.1%}"
        if self.loss_before is not None:
            text += f"; loss {self.loss_before:.4g} -> {self.loss_after:.4g}"
        return text


@dataclass(frozen=True)
class SwapReport:
    """What became of each tensor in a swap, by address.

    Attributes:
        where: what was exchanged, as it was asked for.
        places: the addresses that it named, in the new model.
        before, after: names of the blocks there.
        copied: tensors that are in the new model as they were in the old one.
        converted: those that were computed, with the words of the rule that did.
        new: those that nothing of the old model is in, by the new block's own initialisation or by
            what the words say.
        dropped: tensors of the old model that nothing was made of.
        change: what that did to the logits of a probe, if there was one.

    Example:
        >>> from blocks import GQAttention, Window, from_pretrained, packaged, replace, swap
        >>> model = from_pretrained(packaged())
        >>> _, report = swap(model, GQAttention, lambda old: replace(old, mask=Window(64)))
        >>> len(report.converted), len(report.new), len(report.dropped)
        (0, 0, 0)
    """

    where: str
    places: tuple[str, ...]
    before: str
    after: str
    copied: tuple[Fate, ...]
    converted: tuple[Fate, ...]
    new: tuple[Fate, ...]
    dropped: tuple[Fate, ...]
    change: LogitChange | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data."""
        return dataclasses.asdict(self)

    @property
    def title(self) -> str:
        """What was exchanged, in one line."""
        places = "1 place" if len(self.places) == 1 else f"{len(self.places)} places"
        return f"{self.where}: {self.before} -> {self.after}, {places}"

    def counts(self) -> str:
        """How many tensors met which fate, in one line."""
        return ", ".join(f"{len(getattr(self, kind))} {kind}" for kind in _KINDS)

    def __str__(self) -> str:
        heads = [(kind, *_sum(getattr(self, kind))) for kind in _KINDS]
        rows = [row for kind in _KINDS for row in _rows(kind, self._shown(kind))]
        parts = [self.title, columns(heads)]
        parts += [columns(rows)] if rows else []
        parts += [str(self.change)] if self.change is not None else []
        return "\n\n".join(parts)

    def _shown(self, kind: str) -> list[Fate]:
        """Not what is as it was, where it was, with nothing to say of it."""
        fates: tuple[Fate, ...] = getattr(self, kind)
        if kind != "copied":
            return list(fates)
        return [fate for fate in fates if fate.words or fate.sources != (fate.address,)]


def _sum(fates: tuple[Fate, ...]) -> tuple[str, str]:
    total = sum(fate.parameters for fate in fates)
    tensors = "1 tensor" if len(fates) == 1 else f"{len(fates):,} tensors"
    return f"{counted(total)} parameters", tensors


def _rows(kind: str, fates: Iterable[Fate]) -> list[tuple[str, str, str, str]]:
    """One row for those that differ in the numbers of their addresses alone."""
    groups: dict[Any, list[Fate]] = {}
    for fate in fates:
        places = tuple(form(name)[0] for name in (fate.address, *fate.sources))
        key = places[:1] if fate.words else places
        groups.setdefault((key, fate.parameters, _numberless(fate)), []).append(fate)
    rows = []
    for group in groups.values():
        first = group[0]
        (address,) = folded(fate.address for fate in group)
        size = f"{len(group)} x {first.parameters:,}" if len(group) > 1 else f"{first.parameters:,}"
        away = first.sources and first.sources != (first.address,)
        source = "of " + ", ".join(folded(s for f in group for s in f.sources)) if away else ""
        rows.append((kind, address, size, _words(group) or source))
    return rows


def _numberless(fate: Fate) -> str:
    return "".join("#" if c.isdecimal() else c for c in fate.words)


def _words(group: list[Fate]) -> str:
    """What was said of all of them; of what differs in numbers the first."""
    first = group[0].words
    return first if all(fate.words == first for fate in group) else f"{first} …"
