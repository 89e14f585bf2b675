"""adapter_config.json: what it says of an adapter, every field read or known to be harmless."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from blocks.errors import printable
from blocks.hub.config import Config, read_json

__all__: list[str] = []

NAME = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PICKLE = "adapter_model.bin"
_LIMIT = 16 << 20  # bytes: it may list every matrix of a model
_RANK = 1 << 16

# What concerns training, other tools, or options that are refused where they are on.
_HARMLESS = (
    "auto_mapping corda_config eva_config exclude_modules inference_mode loftq_config "
    "lora_ga_config megatron_config megatron_core peft_version qalora_group_size revision "
    "runtime_config task_type velora_config"
).split()
# Options of PEFT that make another model of it, and what they are where they are off.
_OFF: dict[str, tuple[Any, ...]] = {
    "alora_invocation_tokens": (),
    "arrow_config": (),
    "ensure_weight_tying": (False,),
    "kasa_config": (),
    "layer_replication": (),
    "lora_bias": (False,),
    "monteclora_config": (),
    "trainable_token_indices": (),
    "use_bdlora": (False,),
    "use_qalora": (False,),
    "enable_lora": (),
    "merge_weights": (False,),
}
# Starts that leave W as it was; others take from it what A and B begin with.
_STARTS = (True, False, "gaussian", "eva", "orthogonal")
_META = re.compile(r"[\\^$*+?{}\[\]|()]")
_PATTERN = 400  # characters


@dataclass(frozen=True)
class Settings:
    """An adapter's config.

    Attributes:
        file: where it is from.
        base: the model that it was made for.
        rank, alpha, dropout: of a matrix of which no pattern says another thing.
        ranks, alphas: by pattern.
        stabilised: whether a scale is α / √rank.
        lengths: whether it is a DoRA.
        bias: which biases trained: "none", "all" or "lora_only".
        targets: names of matrices, or a regular expression; None where it doesn't say.
        parameters: names of tensors that hold several matrices.
        whole: names of modules that trained whole.
        excluded: names, or a regular expression.
        layers: those that were adapted; None is all.
        lists: names of the lists of layers.
    """

    file: Path
    base: str | None
    rank: int
    alpha: float
    dropout: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    stabilised: bool
    lengths: bool
    bias: str
    targets: str | tuple[str, ...] | None
    parameters: tuple[str, ...]
    whole: tuple[str, ...]
    excluded: str | tuple[str, ...]
    layers: tuple[int, ...] | None
    lists: tuple[str, ...]

    def rank_of(self, path: str) -> int:
        """The width of A of the matrix at a path."""
        return self.ranks.get(first(self.ranks, path), self.rank)

    def scale_of(self, path: str) -> float:
        """What B A is multiplied with there."""
        rank, alpha = self.rank_of(path), self.alphas.get(first(self.alphas, path), self.alpha)
        return alpha / (math.sqrt(rank) if self.stabilised else rank)

    def targeted(self, path: str) -> bool | None:
        """Whether there is an adapter at a path; None where nobody can say."""
        if self.targets is None or self.targets == "all-linear":
            return None
        if isinstance(self.targets, str):
            found = _fits(self.targets, path)
        else:
            found = _named(self.targets, path)
            if found and self.layers is not None:
                found = self._layer(path) in self.layers
        if found and self.excluded:
            out = self.excluded
            inside = _fits(out, path) if isinstance(out, str) else _named(out, path)
            return None if inside is None else not inside
        return found

    def _layer(self, path: str) -> int | None:
        parts = path.split(".")
        numbers = [
            int(number)
            for before, number in pairwise(parts)
            if number.isdecimal() and (not self.lists or before in self.lists)
        ]
        return numbers[-1] if numbers else None


def first(patterns: Iterable[str], path: str) -> str:
    """The first pattern that is of a path, as a name or as a regular expression."""
    return next((one for one in patterns if _named((one,), path) or _fits(one, path, True)), "")


def _named(names: Iterable[str], path: str) -> bool:
    return any(path == name or path.endswith(f".{name}") for name in names)


def _fits(pattern: str, path: str, tail: bool = False) -> bool | None:
    """Whether a regular expression fits; None of one that might take for ever."""
    if not is_quick(pattern):
        return None
    return re.fullmatch(rf"(?:.*\.)?(?:{pattern})" if tail else pattern, path) is not None


def is_quick(pattern: str) -> bool:
    """Whether a regular expression of a stranger can be tried: few repetitions, none of groups.

    Example:
        >>> is_quick(r"model\\.layers\\.[0-9]+\\.self_attn\\.(q|v)_proj"), is_quick("(a+)+b")
        (True, False)
    """
    bare = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "x", pattern)
    repeats, groups = len(re.findall(r"[*+{]", bare)), bare.count("(")
    options = len(re.findall(r"(?<!\()\?", bare))
    if len(pattern) > _PATTERN or repeats > 3 or groups > 6 or options > 8:
        return False
    if re.search(r"\)[*+{]", bare):
        return False
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def read_settings(path: Path) -> Settings:
    """Reads adapter_config.json.

    Errors:
        ConfigError: it can't be read, is of another kind of adapter, or has a field that would
            change what is computed and that isn't known.
    """
    # A later version writes null for an option that it has and that isn't used.
    said = {name: value for name, value in read_json(path, _LIMIT).items() if value is not None}
    c = Config(said, path)
    c.only("peft_type", "LORA")
    for name in _HARMLESS:
        c.take(name, Any, None)
    for name, off in _OFF.items():
        if (value := c.take(name, Any, None)) is not None and value not in off and value != []:
            raise c.error(name, f"{printable(repr(value))} is not supported; without it is")
    start = c.take("init_lora_weights", Any, True)
    if start not in _STARTS and not str(start).startswith("eva"):
        reason = f"{printable(repr(start))} begins with another W than the model's own"
        raise c.error("init_lora_weights", reason, "PEFT can convert it to a plain LoRA")
    ranks = c.take("rank_pattern", dict[str, int], {})
    alphas = c.take("alpha_pattern", dict[str, float], {})
    for name, patterns in (("rank_pattern", ranks), ("alpha_pattern", alphas)):
        for pattern in patterns:
            if _META.search(pattern) and not is_quick(pattern):
                raise c.error(f"{name}.{printable(pattern)}", "is no expression that can be tried")
    layers = c.take("layers_to_transform", int | tuple[int, ...], None, low=0)
    lists = c.take("layers_pattern", str | tuple[str, ...], ())
    targets = c.take("target_modules", str | tuple[str, ...], None)
    settings = Settings(
        file=path,
        base=c.take("base_model_name_or_path", str, None),
        rank=c.take("r", int, 8),
        alpha=c.take("lora_alpha", float, 8.0),
        dropout=c.take("lora_dropout", float, 0.0),
        ranks=ranks,
        alphas=alphas,
        stabilised=c.take("use_rslora", bool, False),
        lengths=c.take("use_dora", bool, False),
        bias=c.take("bias", str, "none"),
        targets="all-linear" if str(targets).lower() == "all-linear" else targets,
        parameters=c.take("target_parameters", tuple[str, ...], ()),
        whole=c.take("modules_to_save", tuple[str, ...], ()),
        excluded=said.get("exclude_modules") or (),
        layers=(layers,) if isinstance(layers, int) else layers,
        lists=(lists,) if isinstance(lists, str) else tuple(lists),
    )
    c.take("fan_in_fan_out", bool, False)  # how their W is stored, which the family knows
    if settings.bias not in ("none", "all", "lora_only"):
        raise c.error("bias", f"{settings.bias!r} is not one of none, all and lora_only")
    for name, rank in (("r", settings.rank), *((f"rank_pattern.{k}", v) for k, v in ranks.items())):
        if not 0 < rank <= _RANK:
            raise c.error(name, f"{rank} is not between 1 and {_RANK}")
    if not 0 <= settings.dropout < 1:
        raise c.error("lora_dropout", f"{settings.dropout} is not in [0, 1)")
    c.finish()
    return settings
