"""Specs as JSON and back: names resolve in the public index or in what the caller hands in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from blocks.arguments import near_words
from blocks.conform import is_value
from blocks.errors import SpecError
from blocks.spec import Spec

__all__ = ["from_json", "to_json"]

_DEEPEST = 64  # nesting of a spec read from a file


def _public(name: str) -> Any:
    import blocks

    return getattr(blocks, name) if name in blocks.__all__ else None


def _name(kind: Any) -> str:
    """The public name of a block, or `module:Name` for one that loading must be given."""
    if not isinstance(kind, type):
        raise SpecError(
            f"{getattr(kind, '__qualname__', kind)!r} is a function: only classes can be saved",
            hint="wrap it in an nn.Module class, and hand that class in as blocks=(...) on loading",
        )
    name = kind.__name__
    return name if _public(name) is kind else f"{kind.__module__}:{kind.__qualname__}"


def to_json(spec: Spec[Any]) -> dict[str, Any]:
    """A Spec as plain JSON data with every value written out, so that defaults may change later.

    Errors:
        SpecError: the Spec holds something that can't be written, a lambda for instance.

    Example:
        >>> from blocks import MLP, Spec, from_json, to_json
        >>> to_json(Spec(MLP, hidden=8))["options"]["hidden"]
        8
        >>> from_json(to_json(Spec(MLP, hidden=8)))
        Spec(MLP, hidden=8)
    """
    return _plain(spec)


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        options = {key: _plain(part) for key, part in value.keywords.items()}
        return {"block": _name(value.func), "options": options}
    if is_value(type(value)):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"value": _name(type(value)), "options": fields}
    if isinstance(value, Mapping):
        return {"map": {key: _plain(part) for key, part in value.items()}}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):
        _name(value)  # says why not
    raise SpecError(f"{value!r} can't be written as JSON")


def from_json(data: Mapping[str, Any], blocks: Iterable[type] = ()) -> Spec[Any]:
    """The Spec that `to_json` wrote.

    Args:
        data: what `json.load` gave.
        blocks: classes of the caller's own that the data may name. Nothing is ever imported
            because a file names it.

    Errors:
        SpecError: data of another form, an unknown name, an option that its block refuses.
    """
    if not isinstance(blocks, Iterable) or not all(isinstance(kind, type) for kind in blocks):
        hint = "classes of your own: blocks=(MyBlock,)"
        raise SpecError(f"are classes, not {blocks!r}", field="blocks", hint=hint)
    own = {f"{kind.__module__}:{kind.__qualname__}": kind for kind in blocks}
    spec = _read(data, own, 0)
    if not isinstance(spec, Spec):
        raise SpecError("this is not the JSON form of a Spec", field="spec")
    return spec


def _resolve(name: Any, own: Mapping[str, type], wanted: Callable[[Any], bool]) -> Any:
    if not isinstance(name, str):
        raise SpecError(f"a block's name is a string, not {name!r}", field="block")
    if name in own and wanted(own[name]):
        return own[name]
    kind = _public(name)
    if isinstance(kind, type) and wanted(kind):
        return kind
    import blocks

    if ":" in name:
        hint = f"hand the class in: blocks=({name.rpartition(':')[2]},)"
    else:
        hint = near_words(name, blocks.__all__, "was it made by a newer version?")
    raise SpecError(f"no block named {name!r}", field="block", hint=hint)


def _read(data: Any, own: Mapping[str, type], depth: int) -> Any:
    if depth > _DEEPEST:
        raise SpecError(f"nested deeper than {_DEEPEST}", field="spec")
    if isinstance(data, list):
        return tuple(_read(part, own, depth + 1) for part in data)
    if not isinstance(data, Mapping):
        return data
    form, parts = set(data), data.get("options", data.get("map"))
    if form == {"float"} and data["float"] in ("inf", "-inf"):
        return float(data["float"])
    if not isinstance(parts, Mapping) or form not in (
        {"block", "options"},
        {"value", "options"},
        {"map"},
    ):
        raise SpecError(f"a part with the keys {sorted(map(str, data))} is no Spec", field="spec")
    read = {str(key): _read(part, own, depth + 1) for key, part in parts.items()}
    if form == {"map"}:
        return read
    if "block" in data:
        return Spec(_resolve(data["block"], own, lambda kind: hasattr(kind, "forward")), **read)
    kind = _resolve(data["value"], own, is_value)
    unknown = set(read) - {f.name for f in dataclasses.fields(kind)}
    if unknown:
        raise SpecError(f"{kind.__name__} has no field {sorted(unknown)[0]!r}", field="value")
    try:
        return kind(**read)
    except TypeError:
        raise SpecError(f"{kind.__name__} needs more than {sorted(read)}", field="value") from None
