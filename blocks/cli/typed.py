"""A Spec as one types it: `GQAttention(heads=8, mask=Window(64))`, read and never executed."""

from __future__ import annotations

import ast
import json
from typing import Any

from blocks.arguments import near_words
from blocks.errors import SpecError

_LONGEST = 10_000  # characters


def read_new(text: str) -> Any:
    """What a block is exchanged for: a Spec, a function of the old one, or None.

    Args:
        text: `Class(option=value, ...)` or `Class` of a public block, with such in its options;
            `Spec(Class, ...)` as Specs print; `replace(option=value, ...)` for some options of the
            old block; `None` to take it out; or the JSON of a Spec.

    Errors:
        SpecError: anything else, with the nearest name where one is misspelt.

    Example:
        >>> read_new("GQAttention(heads=8, qk=(RoPE(theta=5e5),))")
        Spec(GQAttention, heads=8, qk=(Spec(RoPE, theta=500000.0),))
    """
    from blocks.edit import replace
    from blocks.spec import Spec
    from blocks.written import from_json

    if len(text) > _LONGEST:
        raise SpecError(f"longer than {_LONGEST} characters", field="NEW")
    if text.lstrip().startswith("{"):
        try:
            return from_json(json.loads(text))
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "reason", None) or f"this is no JSON: {error}"
            raise SpecError(reason, field="NEW", hint=getattr(error, "hint", None)) from None
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _unread(text) from None
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace":
        if node.args:
            raise SpecError("options have names: replace(heads=8)", field="NEW")
        changes = _options(node)
        return lambda old: replace(old, **changes)
    made = _value(node)
    if isinstance(made, type) and hasattr(made, "forward"):
        return Spec(made)
    if type(made) is not Spec:
        raise SpecError(f"{text!r} is no block", field="NEW", hint="a mask is an option of one")
    return made


def where_of(text: str) -> Any:
    """A block class where its name is typed, else an address."""
    import blocks

    found = getattr(blocks, text) if text in blocks.__all__ else None
    return found if isinstance(found, type) and hasattr(found, "forward") else text


def _unread(text: str) -> SpecError:
    hint = "such as 'GQAttention(heads=8, kv_heads=2)', 'replace(kv_heads=1)' or a Spec's JSON"
    return SpecError(f"{text!r} can't be read as a block", field="NEW", hint=hint)


def _options(call: ast.Call) -> dict[str, Any]:
    if any(keyword.arg is None for keyword in call.keywords):
        raise _unread(ast.unparse(call))
    return {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return _made(node)
    if isinstance(node, ast.Name):
        return _public(node.id)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_value(part) for part in node.elts)
    if isinstance(node, ast.Dict) and all(node.keys):
        keys = [ast.literal_eval(key) for key in node.keys if isinstance(key, ast.Constant)]
        if len(keys) == len(node.values):
            return dict(zip(keys, map(_value, node.values), strict=True))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _unread(ast.unparse(node)) from None


def _made(call: ast.Call) -> Any:
    """A block's Spec, or a value such as a mask."""
    from blocks.conform import is_value
    from blocks.spec import Spec

    arguments = list(call.args)
    if isinstance(call.func, ast.Name) and call.func.id == "Spec" and arguments:
        kind = _value(arguments.pop(0))
    else:
        kind = _value(call.func)
    if not isinstance(kind, type):
        raise _unread(ast.unparse(call))
    options = _options(call)
    if is_value(kind):
        try:
            return kind(*map(_value, arguments), **options)
        except TypeError:
            reason = f"{kind.__name__} can't be made of {ast.unparse(call)}"
            raise SpecError(reason, field="NEW") from None
    if arguments:
        raise SpecError(f"options of {kind.__name__} have names: heads=8", field="NEW")
    return Spec(kind, **options)


def _public(name: str) -> Any:
    """A public block or value; no other name means anything."""
    import blocks
    from blocks.conform import is_value

    found = getattr(blocks, name) if name in blocks.__all__ else None
    if isinstance(found, type) and (hasattr(found, "forward") or is_value(found)):
        return found
    hint = near_words(name, blocks.__all__, "`blocks list` shows all")
    raise SpecError(f"no block named {name!r}", field="NEW", hint=hint)
