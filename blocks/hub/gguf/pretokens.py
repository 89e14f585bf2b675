"""How byte-level vocabularies split text before they merge, by the names that GGUF files give."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__: list[str] = []

_ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_AHEAD = r"[^\r\n\p{L}\p{N}]?"


def _words(digits: str) -> str:
    """Words with one sign before them, digits, signs and spaces."""
    return rf"{_ENDINGS}|{_AHEAD}\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"


def _cased(digits: str, ending: str) -> str:
    """Likewise, with words cut where a small letter is before a capital one."""
    words = (
        f"{_AHEAD}{_UPPER}*{_LOWER}+{ending}|{_AHEAD}{_UPPER}+{_LOWER}*{ending}|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|"
    )
    return words + _SPACES


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_MARKS = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    rf"{_MARKS}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
)


class Split(NamedTuple):
    """Patterns, one after another: each leaves what it finds as one piece.

    Attributes:
        patterns: regular expressions.
        whole: a piece that is a token is taken without merging.
        bos: a text begins with the token that begins texts, where the file doesn't say.
    """

    patterns: tuple[str, ...]
    whole: bool = False
    bos: bool = False

    def to_json(self) -> dict[str, Any]:
        """As tokenizer.json says it."""
        steps: list[dict[str, Any]] = [
            {
                "type": "Split",
                "pattern": {"Regex": pattern},
                "behavior": "Isolated",
                "invert": False,
            }
            for pattern in self.patterns
        ]
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        return {"type": "Sequence", "pretokenizers": [*steps, {**level, "use_regex": False}]}


_THREE, _EACH = r"\p{N}{1,3}", r"\p{N}"
_SPLITS = {
    "llama-bpe llama3 llama-v3 falcon3": Split((_words(_THREE),), whole=True, bos=True),
    "dbrx smaug-bpe chatglm-bpe glm4": Split((_words(_THREE),)),
    "qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan": Split((_words(_EACH),)),
    "gpt-2 phi-2 olmo mpt jais": Split((_GPT2,)),
    "starcoder refact command-r smollm codeshell exaone minerva-7b": Split((_EACH, _GPT2)),
    "gpt-4o llama4 kanana2": Split((_cased(_THREE, _ENDINGS + "?"),)),
    "tekken": Split((_cased(_EACH, ""),), whole=True, bos=True),
    "deepseek-v3": Split(_DEEPSEEK3),
}
SPLITS = {name: split for names, split in _SPLITS.items() for name in names.split()}
