"""A reader of config.json that insists: every field is used, known to be harmless, or an error."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from blocks.conform import conform
from blocks.errors import ConfigError, SpecError, nearest, printable
from blocks.hub.ranges import HARMLESS, INERT, implausible, out_of_range

__all__: list[str] = []

REQUIRED: Any = object()
_LARGEST = 2**47  # no size of a model comes near it, and products of two such still fit torch
_FILE_LIMIT = 1 << 20  # bytes of a config.json
_DEEPEST = 200  # lists and objects in one another: a saved Spec has the most, three for a part

# Fields that files have always had since that version of their writer. What is lost is not what was
# never there: LLaMA 2 has no theta in files of 4.32, Falcon has none in files of 4.33.
_SINCE = {"rms_norm_eps": (4, 28), "rope_theta": (4, 34)}


class Config:
    """One config.json (or a dict inside it), read field by field.

    Args:
        data: the parsed JSON.
        file: where it is from, for errors.
        within: the field of the outer config that this one is, for errors.

    Example:
        >>> c = Config({"hidden_size": 64, "hiden_act": "silu"})
        >>> c.take("hidden_size", int)
        64
        >>> c.take("hidden_act", str, "silu")
        'silu'
        >>> c.finish()
        Traceback (most recent call last):
        blocks.errors.ConfigError: config.json: hiden_act: this field is not known to the family. \
Hint: did you mean 'hidden_act'?
    """

    def __init__(self, data: Mapping[str, Any], file: str | Path = "config.json", within: str = ""):
        try:
            self.data = with_infinity(data)
        except ConfigError as error:
            raise ConfigError(error.reason, file=file, field=within or None) from None
        self.file = file
        self.within = within
        self.body = self  # where the sizes of the layers stand
        self.read: dict[str, Any] = {}
        self.assumed: dict[str, Any] = {}
        self._inner: dict[str, Config] = {}
        self._defaults: Mapping[str, Any] = {}
        self._of_a_model = not within

    def path(self, name: str) -> str:
        """The field `name` as seen from the outermost config."""
        return f"{self.within}.{name}" if self.within else name

    def error(self, name: str, reason: str, hint: str | None = None) -> ConfigError:
        """An error about the field `name`, to be raised by the caller."""
        return ConfigError(reason, file=self.file, field=self.path(name) or "''", hint=hint)

    def take(
        self,
        name: str,
        kind: Any,
        default: Any = REQUIRED,
        *,
        aliases: Iterable[str] = (),
        low: int = 1,
    ) -> Any:
        """The value of a field, checked: null counts as absent.

        Args:
            name: the field.
            kind: a type annotation. Ints lie in [low, 2^47), floats are finite.
            default: what an absent field means; without one it must be there.
            aliases: other names of the same field; two that disagree are an error.
            low: the smallest int.
        """
        found = {n: self.data[n] for n in (name, *aliases) if self.data.get(n) is not None}
        self.read.update(dict.fromkeys((name, *aliases)))
        if not found:
            default = self._defaults.get(name, default)
            if default is REQUIRED or (default is not None and self._has_lost(name)):
                near = nearest(name, map(str, self.data))
                hint = f"it has {near[0]!r}" if near else None
                if default is not REQUIRED:
                    hint = f"only files older than the field mean {default!r} by that; write it in"
                raise self.error(name, "this field is missing", hint)
            self.assumed[name] = default
            return default
        if len({json.dumps(v, sort_keys=True, default=str) for v in found.values()}) > 1:
            raise self.error(name, "is said twice with different values: " + repr(found))
        at, value = next(iter(found.items()))
        try:
            value = conform(value, kind)
        except SpecError as error:
            raise self.error(at, error.reason) from None
        if isinstance(value, int) and not isinstance(value, bool) and not low <= value < _LARGEST:
            raise self.error(at, f"{value} is not between {low} and 2^47")
        if isinstance(value, float):
            if not math.isfinite(value):
                raise self.error(at, f"{value} is not a finite number")
            if within := out_of_range(at, value):
                raise self.error(at, f"{value} is not in {within}")
        self.read[name] = value
        return value

    def _has_lost(self, name: str) -> bool:
        """Whether a whole config must say a field: where it is no older than the field."""
        if name not in _SINCE or name in self._defaults or self.within:
            return False
        writer = re.match(r"(\d{1,4})\.(\d{1,4})", str(self.data.get("transformers_version")))
        return (
            writer is None or name in self.data or tuple(map(int, writer.groups())) >= _SINCE[name]
        )

    def assume(self, **defaults: Any) -> None:
        """What absent fields mean in files that were written without them."""
        self._defaults = {**self._defaults, **defaults}

    def said(self) -> dict[str, Any]:
        """What was read and found, by path, with all that is nested."""
        found = {self.path(n): v for n, v in self.read.items() if self.data.get(n) is not None}
        for inner in self._inner.values():
            found |= inner.said()
        return {path: value for path, value in found.items() if value is not None}

    def only(self, name: str, *allowed: Any) -> None:
        """Reads a field of which the family supports some values alone; absent is the first."""
        value = self.take(name, Any, allowed[0], low=0)
        same = (one for one in allowed if isinstance(one, bool) == isinstance(value, bool))
        if value not in same:  # True is no 1
            raise self.error(name, f"{value!r} is not supported; {allowed[0]!r} is")

    def inner(self, name: str) -> Config | None:
        """A nested dict as a reader of its own; None where it is absent or null."""
        value = self.take(name, Any, None)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.error(name, f"{value!r} is not an object")
        if name not in self._inner:  # one reader for all who ask, that knows what each has read
            self._inner[name] = Config(value, self.file, self.path(name))
        return self._inner[name]

    def part(self, name: str, model_type: str) -> Config:
        """The config of one of several models inside this one; an absent one says nothing.

        Args:
            name: the field.
            model_type: what it says of itself, if it does.
        """
        part = self.inner(name) or self._inner.setdefault(
            name, Config({}, self.file, self.path(name))
        )
        part._of_a_model = True
        part.only("model_type", model_type)
        return part

    def inside(self, name: str, model_type: str, **defaults: Any) -> Config:
        """The config of a model inside this one; where it is absent, its fields stand here.

        What any model's config may hold is harmless there too. Beside it, its fields may stand
        again if they say the same.

        Args:
            name: the field.
            model_type: what it says of itself, if it does.
            **defaults: what absent fields mean there, whatever the model's own family says.
        """
        self.body = self.inner(name) or self
        self.body._defaults = defaults
        if self.body is not self:
            self.body._of_a_model = True
            self.body.only("model_type", model_type)
        return self.body

    def changed(self, name: str, value: Any) -> Config:
        """A new reader of the same config, with another value of a field of its body."""
        body = {**self.body.data, name: value}
        whole = body if self.body is self else {**self.data, self.body.within: body}
        return Config(whole, self.file)

    def finish(self) -> None:
        """Refuses fields that nobody read and that are not known to be harmless."""
        for inner in self._inner.values():
            inner.finish()
        for name, value in self.data.items():
            if name in self.read:
                continue
            if self._of_a_model and self._harmless(name, value):
                if wanted := implausible(name, value):
                    raise self.error(name, f"{printable(repr(value))} is not {wanted}")
                continue
            if self.body is not self and name in self.body.read:
                given = self.body.data.get(name)
                said = self.body.assumed.get(name) if given is None else given
                if value not in (None, said):
                    raise self.error(name, f"is {value!r} here, {said!r} in {self.body.within}")
                continue
            near = nearest(name, (*self.read, *self.body.read))
            hint = f"did you mean {near[0]!r}?" if near else None
            if name == "quantization_config":
                raise self.error(name, "these weights are quantised, in a form that can't be read")
            raise self.error(name, "this field is not known to the family", hint)

    @staticmethod
    def _harmless(name: str, value: Any) -> bool:
        return name in HARMLESS or any(value == inert for inert in INERT.get(name, ()))


def read_json(path: Path, limit: int = _FILE_LIMIT) -> dict[str, Any]:
    """A JSON object from a file, with every way it can be none answered by a ConfigError."""
    data = read_value(path, limit)
    if not isinstance(data, dict):
        raise ConfigError("is not a JSON object", file=path)
    return data


def read_value(path: Path, limit: int = _FILE_LIMIT) -> Any:
    """Any JSON, with the same answers."""
    try:
        if path.stat().st_size > limit:
            raise ConfigError(f"is larger than {limit} bytes", file=path)
        data = json.loads(path.read_bytes(), object_pairs_hook=_no_twins)
    except (ValueError, RecursionError, OSError) as error:
        if isinstance(error, ConfigError):
            raise ConfigError(error.reason, file=path, field=error.field) from None
        reason = f"is not readable as JSON: {printable(error)}"
        raise ConfigError(reason, file=path, hint="download the file again") from None
    if _is_deep(data):
        raise ConfigError(f"is nested more than {_DEEPEST} deep", file=path)
    return data


def _is_deep(data: Any) -> bool:
    level = [data]
    for _ in range(_DEEPEST):
        boxes = [value for value in level if isinstance(value, dict | list)]
        level = [part for b in boxes for part in (b.values() if isinstance(b, dict) else b)]
    return any(isinstance(value, dict | list) for value in level)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ConfigError("is there twice", field=twin)
    return data


def with_infinity(value: Any, left: int = _DEEPEST) -> Any:
    """transformers 5 writes infinity as an object, older files as a bare word."""
    if not left:
        raise ConfigError(f"is nested deeper than {_DEEPEST}")
    if isinstance(value, dict):
        if set(value) == {"__float__"} and value["__float__"] in ("Infinity", "-Infinity", "NaN"):
            return float(value["__float__"])
        return {name: with_infinity(part, left - 1) for name, part in value.items()}
    if isinstance(value, list):
        return [with_infinity(part, left - 1) for part in value]
    return value


def without_infinity(value: Any) -> Any:
    """The inverse of what reading does to infinity, of which JSON has no word."""
    if isinstance(value, float) and math.isinf(value):
        return {"__float__": "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, Mapping):
        return {name: without_infinity(part) for name, part in value.items()}
    return [without_infinity(part) for part in value] if isinstance(value, list) else value
