"""What a checkpoint says of generation: where a text begins and ends, and what it may hold."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from blocks.errors import ConfigError
from blocks.hub.config import read_json
from blocks.hub.ranges import implausible
from blocks.hub.source import Source

__all__ = ["GenerationDefaults"]

NAME = "generation_config.json"
_FAR = 1 << 31  # no token has such an id, and no text as many tokens
_MOST_WORDS = 10_000  # each is looked for at every token


@dataclass(frozen=True)
class GenerationDefaults:
    """What generation_config.json says, or config.json where that is absent.

    `generate`, `stream` and `beam_search` obey all that concerns which tokens a text may hold; an
    argument of theirs takes the place of the same thing here. How a text is searched for is what
    the function says: `generate` takes the likeliest token or draws, whatever a file says of
    sampling and beams; `beam_search` takes `beams`, `length_penalty` and `early_stopping` from here
    unless it is told.

    Attributes:
        eos: ids that end a text.
        pad: what finished rows are filled with.
        bos: what a text begins with.
        start: what an encoder–decoder's answer begins with.
        beams, length_penalty, early_stopping: as of `beam_search`.
        repetition_penalty, no_repeat_ngram, min_new_tokens: as of `generate`.
        no_source_ngram: no run of so many tokens of the source is written; 0 for none.
        min_length: how many tokens a text has at least, its prompt included.
        forced_first: the token after the one that an answer begins with.
        forced_last: the tokens one of which is the last, where no more may be added.
        suppressed: tokens that are never written.
        suppressed_first: tokens that an answer doesn't begin with.
        bad_words: runs of tokens that are never written.
        renormalize: whether the scores of beams are made probabilities again after all this.
        other: what else the file holds, kept for saving.
    """

    eos: tuple[int, ...] = ()
    pad: int | None = None
    bos: int | None = None
    start: int | None = None
    beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    no_source_ngram: int = 0
    min_length: int = 0
    min_new_tokens: int = 0
    forced_first: int | None = None
    forced_last: tuple[int, ...] = ()
    suppressed: tuple[int, ...] = ()
    suppressed_first: tuple[int, ...] = ()
    bad_words: tuple[tuple[int, ...], ...] = ()
    renormalize: bool = False
    other: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """As generation_config.json has it."""
        found: dict[str, Any] = dict(self.other)
        for ours, (theirs, _) in _FIELDS.items():
            value = getattr(self, ours)
            if value != _UNSET[ours]:
                found[theirs] = _plain(value, alone=ours in ("eos", "forced_last"))
        return dict(sorted(found.items()))


def _plain(value: Any, *, alone: bool) -> Any:
    if not isinstance(value, tuple):
        return value
    return value[0] if alone and len(value) == 1 else [_plain(v, alone=False) for v in value]


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _FAR


def _ids(value: Any) -> tuple[int, ...]:
    ids = value if isinstance(value, list) else [value]
    if not all(_is_id(i) for i in ids):
        raise ConfigError(f"{value!r} is not a token id")
    return tuple(i for i in ids if i >= 0)


def _id(value: Any) -> int | None:
    return next(iter(_ids(value)), None)


def _words(value: Any) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list) or not all(isinstance(word, list) for word in value):
        raise ConfigError(f"{value!r} is not a list of lists of token ids")
    if len(value) > _MOST_WORDS:
        raise ConfigError(f"forbids {len(value)} runs of tokens, more than can be looked for")
    return tuple(_ids(word) for word in value if word)


def _count(value: Any) -> int:
    if not _is_id(value) or value < 0:
        raise ConfigError(f"{value!r} is not a number of tokens")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ConfigError(f"{value!r} is not a number")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{value!r} is neither true nor false")
    return value


def _early(value: Any) -> Any:
    return value if value == "never" else _flag(value)


Read = Callable[[Any], Any]
_SPECIAL: dict[str, tuple[str, Read]] = {
    "eos": ("eos_token_id", _ids),
    "pad": ("pad_token_id", _id),
    "bos": ("bos_token_id", _id),
    "start": ("decoder_start_token_id", _id),
}
_RULES: dict[str, tuple[str, Read]] = {
    "beams": ("num_beams", _count),
    "length_penalty": ("length_penalty", _number),
    "early_stopping": ("early_stopping", _early),
    "repetition_penalty": ("repetition_penalty", _number),
    "no_repeat_ngram": ("no_repeat_ngram_size", _count),
    "no_source_ngram": ("encoder_no_repeat_ngram_size", _count),
    "min_length": ("min_length", _count),
    "min_new_tokens": ("min_new_tokens", _count),
    "forced_first": ("forced_bos_token_id", _id),
    "forced_last": ("forced_eos_token_id", _ids),
    "suppressed": ("suppress_tokens", _ids),
    "suppressed_first": ("begin_suppress_tokens", _ids),
    "bad_words": ("bad_words_ids", _words),
    "renormalize": ("renormalize_logits", _flag),
}
_FIELDS = {**_SPECIAL, **_RULES}
_UNSET = {f.name: f.default for f in fields(GenerationDefaults)}

# What would make other texts and is not done here, with the values that change nothing. Sampling is
# not among it: that is an argument.
_FOREIGN: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "constraints": (),
        "diversity_penalty": (0,),
        "dola_layers": (),
        "encoder_repetition_penalty": (1,),
        "exponential_decay_length_penalty": (),
        "force_words_ids": (),
        "guidance_scale": (1,),
        "num_beam_groups": (1,),
        "penalty_alpha": (0,),
        "sequence_bias": (),
        "stop_strings": (),
        "token_healing": (False,),
        "watermarking_config": (),
    }
)


def read_generation(source: Source) -> GenerationDefaults:
    """The defaults of a checkpoint; what the library doesn't do is named in a warning.

    Errors:
        ConfigError: a field that isn't what its name says.
    """
    found: dict[str, Any] = {}
    other: dict[str, Any] = {}
    said = _said(source)
    own = bool(said[0][0])
    for path, data, legacy in said:
        for ours, (theirs, read) in (_SPECIAL if legacy and own else _FIELDS).items():
            if data.get(theirs) is None:
                continue
            try:
                value = read(data[theirs])
            except ConfigError as error:
                raise ConfigError(error.reason, file=path, field=theirs) from None
            if value not in (None, ()):
                found.setdefault(ours, value)
        for name, value in data.items():
            if wanted := implausible(name, value):
                raise ConfigError(f"{value!r} is not {wanted}", file=path, field=name)
        if legacy and own:
            continue
        ignored = [name for name in _FOREIGN if _differs(data.get(name), _FOREIGN[name])]
        if ignored:
            listed = ", ".join(ignored)
            warnings.warn(f"{path}: texts are generated without {listed}", stacklevel=3)
        if not legacy:
            known = {theirs for theirs, _ in _FIELDS.values()}
            other = {name: value for name, value in data.items() if name not in known}
    return GenerationDefaults(**found, other=other)


def _said(source: Source) -> list[tuple[str | Path | None, dict[str, Any], bool]]:
    """The files that say something, what they say, and whether that is the older place for it."""
    if source.foreign:
        return [(source.name, source.foreign.generation(), False)]
    own = source.find(NAME, assume_absent=True)
    config = source.find("config.json", assume_absent=True)
    return [
        (own, read_json(own) if own else {}, False),
        (config, read_json(config) if config else {}, True),
    ]


def _differs(value: Any, inert: tuple[Any, ...]) -> bool:
    return value is not None and value not in ([], {}) and value not in inert
