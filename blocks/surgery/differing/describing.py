"""Describing: a block and its options in one line of text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Any

from blocks.spec import Spec, is_spec
from blocks.surgery.tree.parts import Part, Tree, given, holds_parts, join, written
from blocks.surgery.tree.paths import kind_of

__all__: list[str] = []

_ROOTED = ("GQAttention", "CrossAttention", "InfiniAttention")  # scale scores by 1/√E by default

Kinds = dict[type, Spec | None]


def kinds(tree: Tree, part: Part) -> Kinds:
    """The classes at an address, a Residual before what it wraps, each with its Spec."""
    found = [kind_of(module) for module in tree.wrapped[part.address]]
    return {kind: tree.specs.get((part.address, kind)) for kind in found}


def speaks(tree: Tree, part: Part) -> bool:
    """Whether a block has a Spec of its own."""
    return any(spec is not None for spec in kinds(tree, part).values())


def written_value(tree: Tree, part: Part, kind: type, name: str) -> Any:
    """An option's value, a number or text: what the block made of it where it was left open."""
    spec = kinds(tree, part)[kind]
    value = None if spec is None else spec.keywords[name]
    if value is None:
        modules: list[Any] = [one for one in tree.wrapped[part.address] if kind_of(one) is kind]
        made = getattr(modules[0], name, None)
        if made is None and name == "scale" and kind.__name__ in _ROOTED:
            made = modules[0].head_dim ** -0.5
        value = made if type(made) in (int, float) else None
    return value if value is None or type(value) in (bool, int, float, str) else written(value)


def shape_text(shape: tuple[int, ...] | None) -> str | None:
    """Sizes as people write them: 4096×1024."""
    return None if shape is None else "×".join(map(str, shape)) or "one number"


def brief(tree: Tree, part: Part) -> str:
    """A whole block in a line: with its options and parts, or with its shapes."""
    found = kinds(tree, part)
    if any(found.values()):
        return nested(found, (), ())
    shapes = [text for shape in part.shapes.values() if (text := shape_text(shape))]
    return " ".join([part.block, ", ".join(shapes)]).strip()


def line(tree: Tree, part: Part) -> str:
    """A block in a line with its options and shapes, without its parts."""
    found = kinds(tree, part)
    shapes = [text for shape in part.shapes.values() if (text := shape_text(shape))]
    return " ".join([nested(found, ()), ", ".join(shapes)]).strip()


def nested(found: Kinds, told: Collection[type], left_out: Collection[str] | None = None) -> str:
    """`Residual(GQAttention(heads=8), norm_in=RMSNorm)`.

    Args:
        found: the classes at an address.
        told: those of which the name is enough.
        left_out: names of parts that have lines of their own; None: all have.
    """
    text = ""
    for kind, spec in reversed(found.items()):
        through = getattr(kind, "transparent", None)
        options = [] if spec is None or kind in told else _options(spec, through, left_out)
        inside = ", ".join([text] * bool(text) + options)
        text = f"{kind.__name__}({inside})" if inside else kind.__name__
    return text


def _options(spec: Spec, through: str | None, left_out: Collection[str] | None) -> list[str]:
    found: list[str] = []
    for name, value in given(spec).items():
        if not holds_parts(value):
            found.append(f"{name}={written(value)}")
        elif left_out is None or name == through:
            continue
        elif is_spec(value):
            found += [f"{name}={_whole(value)}"] * (name not in left_out)
        elif isinstance(value, Mapping):
            found += [f"{key}={_whole(one)}" for key, one in value.items() if key not in left_out]
        else:
            kept = enumerate(value)
            texts = [_whole(one) for at, one in kept if join(name, str(at)) not in left_out]
            runs = [(text, len(list(run))) for text, run in groupby(texts)]
            shown = [f"{times} × {text}" if times > 1 else text for text, times in runs]
            found += [f"{name}=({', '.join(shown)})"] * bool(shown)
    return found


def _whole(value: Any) -> str:
    if not is_spec(value):
        return written(value)
    inside = ", ".join(_options(value, None, ()))
    name = value.func.__name__
    return f"{name}({inside})" if inside else name
