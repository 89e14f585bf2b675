"""Chat templates: which one a checkpoint means, what it is given, and the text it makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinja2.exceptions import TemplateError, TemplateSyntaxError

from blocks.errors import TokenizerError
from blocks.text.budget import Budget
from blocks.text.grammar import Template
from blocks.text.walker import Walker

__all__: list[str] = []

_TEMPLATE_CHARACTERS = 64 << 10
_FIELD = "chat template"
_REASONING = ("reasoning_content", "thinking", "reasoning")
_PLAIN = (str, int, float, bool, type(None))
_SCALARS = {str: str.__str__, int: int.__int__, float: float.__float__}  # of a subclass, its base
_EXAMPLE = '[{"role": "user", "content": "Hello"}]'


def templates(config: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    """Templates by name, from .jinja files or, where there is none, from tokenizer_config.json."""
    if files:
        return dict(files)
    given = config.get("chat_template")
    if given is None:
        return {}
    if isinstance(given, str):
        return {"default": given}
    if isinstance(given, list) and all(_is_named(entry) for entry in given):
        return {entry["name"]: entry["template"] for entry in given}
    raise TokenizerError(
        "must be a text or a list of {name, template}",
        file="tokenizer_config.json",
        field="chat_template",
    )


def _is_named(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), str) for key in ("name", "template")
    )


def choose(known: Mapping[str, str], wanted: str | None, tools: bool) -> str:
    """The template text: by name, as it is given, or the one for the occasion."""
    names = ", ".join(sorted(known)) or "none"
    if wanted is not None:
        if not isinstance(wanted, str):
            raise TokenizerError("must be a name or a template text", field="template")
        if wanted in known:
            return known[wanted]
        if "{{" in wanted or "{%" in wanted:
            return wanted
        reason = f"no chat template is called {wanted!r}; there is: {names}"
        raise TokenizerError(reason, field="template")
    if not known:
        raise TokenizerError(
            "this tokenizer has no chat template",
            field="template",
            hint="pass template= with a Jinja text, or encode() the prompt you want yourself",
        )
    for name in ("tool_use", "default") if tools else ("default",):
        if name in known:
            return known[name]
    reason = f"no default chat template; pass template= with one of: {names}"
    raise TokenizerError(reason, field="template")


def conversation(messages: Any) -> list[dict[str, Any]]:
    """The messages checked and copied as plain data, without keys whose value is None."""
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        raise TokenizerError(f"must be a list of messages like {_EXAMPLE}", field="messages")
    checked = [_message(message, at) for at, message in enumerate(messages)]
    if not checked:
        raise TokenizerError("is empty", field="messages", hint=f"give at least {_EXAMPLE}")
    return checked


def _message(message: Any, at: int) -> dict[str, Any]:
    field = f"messages[{at}]"
    if not isinstance(message, Mapping):
        raise TokenizerError(f"is {type(message).__name__}, not a message", field=field)
    if not isinstance(message.get("role"), str):
        raise TokenizerError("has no role", field=field, hint='such as "user" or "assistant"')
    if not isinstance(message.get("content"), (str, list, tuple, type(None))):
        kind = type(message["content"]).__name__
        raise TokenizerError(f"is {kind}, not a text or a list of parts", field=f"{field}.content")
    copy = plain({key: value for key, value in message.items() if value is not None})
    for name in _REASONING:
        if name in copy:  # older names for it; templates read the first, some the second
            return {"thinking": copy[name], **copy, "reasoning_content": copy[name]}
    return copy


def plain(value: Any, depth: int = 64) -> Any:
    """A copy in JSON's types only: no other object's methods come within a template's reach."""
    if type(value) in _PLAIN:
        return value
    if depth == 0:
        raise TokenizerError("data given to a chat template are nested too deeply")
    for kind, base in _SCALARS.items():
        if isinstance(value, kind):
            return base(value)
    if isinstance(value, Mapping):
        return {plain(k, depth - 1): plain(v, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [plain(item, depth - 1) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return f"<{type(value).__name__}>"


def render(template: str, variables: Mapping[str, Any]) -> str:
    """The text the template makes of the variables.

    Errors:
        TokenizerError: the template is not valid, refuses its input, or spends too much.
    """
    if len(template) > _TEMPLATE_CHARACTERS:
        raise TokenizerError(f"is longer than {_TEMPLATE_CHARACTERS} characters", field=_FIELD)
    data = plain(dict(variables))
    try:
        parsed = _parsed(template)
    except TemplateSyntaxError as error:
        reason = f"is not valid in line {error.lineno}: {error.message}"
        raise TokenizerError(reason, field=_FIELD) from None
    walker = Walker(parsed, data, Budget(data, len(data.get("messages") or ())))
    try:
        return walker.render()
    except TemplateError as error:
        reason = error.message
    except RecursionError:
        reason = "it is nested too deeply or calls itself for ever"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    raise TokenizerError(f"stopped in line {walker.line}: {reason}", field=_FIELD) from None


@lru_cache(maxsize=16)
def _parsed(template: str) -> Template:
    return Template(template)
