"""Fill-in-the-middle: a text rearranged so that a left-to-right model learns to fill gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from random import Random
from types import MappingProxyType
from typing import Literal

from blocks.arguments import check_kind, check_text
from blocks.errors import TokenizerError

__all__ = ["INFILL", "Sentinels", "from_infill", "infill_prompt", "to_infill"]

Order = Literal["psm", "spm"]


@dataclass(frozen=True)
class Sentinels:
    """The strings that stand before the parts of a rearranged text, and after it.

    Args:
        prefix, suffix, middle: what stands before each part.
        end: what stands after the last part; empty where the end-of-text token does that.

    Errors:
        TokenizerError: an empty string, or one that lies within another.

    Example:
        >>> from blocks import INFILL
        >>> INFILL["qwen2.5-coder"].middle
        '<|fim_middle|>'
    """

    prefix: str
    suffix: str
    middle: str
    end: str = ""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if not isinstance(value, str) or (not value and name != "end"):
                raise TokenizerError(f"must be a text, not {value!r}", field=f"Sentinels.{name}")
        for one in self.marks:
            if sum(one in other for other in self.marks) > 1:
                raise TokenizerError(f"{one!r} lies within another of them", field="Sentinels")

    @property
    def marks(self) -> tuple[str, ...]:
        """Those that are not empty."""
        return (self.prefix, self.suffix, self.middle, *([self.end] if self.end else []))


INFILL: Mapping[str, Sentinels] = MappingProxyType(
    {
        # The model cards of bigcode/starcoder and starcoder2, also in nuprl/MultiPL-E.
        "starcoder": Sentinels("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        # The README of QwenLM/Qwen2.5-Coder, "File-Level Code Completion"; CodeQwen1.5 has
        # StarCoder's.
        "qwen2.5-coder": Sentinels("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        # ai.google.dev/gemma/docs/codegemma/prompt-structure; the model ends with the last of them.
        "codegemma": Sentinels(
            "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_separator|>"
        ),
        # Pieces of its SentencePiece vocabulary, as its tokenizer in transformers names them.
        "codellama": Sentinels("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
        # The README of deepseek-ai/DeepSeek-Coder, "Code Insertion": the hole stands for SUF.
        "deepseek-coder": Sentinels("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
        # special_tokens_map.json of bigcode/santacoder.
        "santacoder": Sentinels("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    }
)


def to_infill(
    text: str,
    random: Random,
    *,
    sentinels: Sentinels = INFILL["starcoder"],
    order: Order = "psm",
    rate: float = 1.0,
) -> str:
    r"""Cuts a text at two uniform places between characters and moves the middle to the end.

        psm:  PRE prefix SUF suffix MID middle END
        spm:  PRE SUF suffix MID prefix middle END

    The second is variant 2 of Bavarian et al., "Efficient Training of Language Models to Fill in
    the Middle", 2022, arXiv:2207.14255, section 4.1. Any part may be empty. `from_infill` gives the
    text back.

    Args:
        text: what to rearrange.
        random: draws the cuts; seed it.
        sentinels: the strings between the parts; `INFILL` has those of public models.
        order: which part comes first.
        rate: share of texts that are rearranged; the others come back as they are.

    Errors:
        TokenizerError: the text holds a sentinel, alone or with the start of the next one; a rate
            outside 0 to 1; an unknown order.

    Example:
        >>> from random import Random
        >>> from blocks import to_infill
        >>> to_infill("return x + y", Random(1))
        '<fim_prefix>re<fim_suffix>+ y<fim_middle>turn x '
    """
    check_text(text, "text", TokenizerError)
    check_kind(random, Random, "random", "random.Random", error=TokenizerError)
    check_kind(rate, Real, "rate", "number", error=TokenizerError)
    if not 0 <= rate <= 1:
        raise TokenizerError(f"must be in 0 to 1, not {rate}", field="rate")
    if rate < 1 and random.random() >= rate:
        for mark in sentinels.marks:
            _count(text, mark, 0)
        return text
    a, b = sorted(random.randint(0, len(text)) for _ in range(2))
    arranged = infill_prompt(text[:a], text[b:], sentinels=sentinels, order=order)
    arranged += text[a:b] + sentinels.end
    for mark in sentinels.marks:
        _count(arranged, mark, 1)
    return arranged


def infill_prompt(
    prefix: str,
    suffix: str,
    *,
    sentinels: Sentinels = INFILL["starcoder"],
    order: Order = "psm",
) -> str:
    """What a model that was trained so is given to write what lies between two texts.

    Args:
        prefix, suffix: what stands before and after the gap.
        sentinels, order: those of its training.

    Errors:
        TokenizerError: an unknown order.

    Example:
        >>> from blocks import infill_prompt
        >>> infill_prompt("1 + ", " = 3")
        '<fim_prefix>1 + <fim_suffix> = 3<fim_middle>'
    """
    check_text(prefix, "prefix", TokenizerError)
    check_text(suffix, "suffix", TokenizerError)
    if order == "psm":
        return sentinels.prefix + prefix + sentinels.suffix + suffix + sentinels.middle
    if order == "spm":
        return sentinels.prefix + sentinels.suffix + suffix + sentinels.middle + prefix
    raise TokenizerError(f"must be 'psm' or 'spm', not {order!r}", field="order")


def from_infill(arranged: str, *, sentinels: Sentinels = INFILL["starcoder"]) -> str:
    """The text that `to_infill` was given, in whichever order it wrote it.

    Args:
        arranged: what `to_infill` returned, or a prompt and what a model wrote after it.
        sentinels: those that were used.

    Errors:
        TokenizerError: sentinels that are missing, doubled or out of order.

    Example:
        >>> from blocks import from_infill
        >>> from_infill("<fim_prefix>1 + <fim_suffix> = 3<fim_middle>2")
        '1 + 2 = 3'
    """
    check_text(arranged, "arranged", TokenizerError)
    if not any(mark in arranged for mark in sentinels.marks):
        return arranged
    for mark in sentinels.marks:
        _count(arranged, mark, 1)
    nothing, _, rest = arranged.partition(sentinels.prefix)
    prefix, _, rest = rest.partition(sentinels.suffix)
    suffix, found, middle = rest.partition(sentinels.middle)
    inside = middle.removesuffix(sentinels.end)
    if nothing or not found or (sentinels.end and inside == middle):
        wanted = ", ".join(sentinels.marks)
        raise TokenizerError(f"sentinels are out of order: must be {wanted}", field="arranged")
    return prefix + inside + suffix  # in the order spm the prefix is empty, and part of the middle


def _count(text: str, mark: str, wanted: int) -> None:
    """Refuses a text that doesn't hold `mark` just so often, overlaps counted."""
    first = text.find(mark)
    found = 0 if first < 0 else 1 if first == text.rfind(mark) else 2
    if found != wanted:
        often = ("not at all", "once", "more than once")[found]
        reason = f"{mark!r} stands {often} where it must stand {wanted} times"
        raise TokenizerError(reason, field="text", hint="it would not come back as it was")
