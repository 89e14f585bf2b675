"""Calls in the library's code: written out, kept as functions, or gone."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import nn

from blocks.attention.seen import Seen
from blocks.errors import SpecError
from blocks.spec import is_spec
from blocks.surgery.ejecting.literals import canonical
from blocks.surgery.ejecting.pure import PURE, Pure
from blocks.surgery.ejecting.source import Home, home, method
from blocks.surgery.ejecting.values import (
    Bound,
    Closure,
    Code,
    Fields,
    Known,
    Many,
    Memory,
    Now,
    Part,
    Sight,
    Slot,
    Value,
    calling,
    plain,
)

__all__: list[str] = []


class Calls(Pure):
    """What calls give."""

    inlined = 0

    def on_Call(self, node: ast.Call) -> Value:
        function = node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
            inner = function.value.func
            if isinstance(inner, ast.Name) and inner.id == "super":
                return self.above(function.attr, *self.given(node))
        found = self.value(function)
        return self.called(found, *self.given(node))

    def given(self, node: ast.Call) -> tuple[list[Value], dict[str, Value]]:
        items = self.on_Tuple(ast.Tuple(node.args))
        options: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is None:
                if not isinstance(value, Fields):
                    raise SpecError("options of unknown names")
                options |= value.items
            else:
                options[keyword.arg] = value
        return items.items, options  # pyright: ignore[reportAttributeAccessIssue]  # a Many

    def above(self, attr: str, args: list[Value], options: dict[str, Value]) -> Value:
        """A method of the base class."""
        owner: Any = self.env["self"]
        line = type(owner.module).__mro__
        for base in line[line.index(self.home.kind) + 1 :]:
            if attr in vars(base):
                if base.__module__.startswith("torch."):
                    return self.torch_base(owner, base, args, options)
                found = home(vars(base)[attr], base)
                env = self.bound(found, [owner, *args], options)
                return self.spliced(found, env)
        raise SpecError(f"no base class has {attr}")

    def torch_base(self, owner: Any, base: Any, args: Any, options: Any) -> Value:
        if base is nn.Module:
            return Known(None)
        raise SpecError(f"a {type(owner.module).__name__} is made of a {base.__name__}")

    def called(self, function: Value, args: list[Value], options: dict[str, Value]) -> Value:
        if isinstance(function, Bound):
            return self.on_method(function.owner, function.name, args, options)
        if isinstance(function, Part):
            return self.on_part(function, "forward", args, options)
        if isinstance(function, Closure):
            return self.on_closure(function, args, options)
        if isinstance(function, Known):
            return self.on_known(function.value, args, options)
        return self.run_time(self.code(function), args, options)

    def run_time(self, function: ast.expr, args: list[Value], options: dict[str, Value]) -> Value:
        codes = {key: self.code(value) for key, value in options.items()}
        return Code(calling(function, *(self.code(part) for part in args), **codes))

    def on_closure(self, function: Closure, args: list[Value], options: dict[str, Value]) -> Value:
        node = function.node
        names_ = [arg.arg for arg in node.args.args]
        env = {**function.env, **dict(zip(names_, args, strict=False)), **options}
        walk = self.beside(env, function.home)
        if isinstance(node, ast.Lambda):
            return walk.value(node.body)
        kind, value = walk.run(node.body)
        if kind == "returned" or walk.lines:
            raise SpecError(f"the function {node.name} within a function")
        return value

    def on_known(self, function: Any, args: list[Value], options: dict[str, Value]) -> Value:
        replaced = self.replaced(function, args, options)
        if replaced is not None:
            return replaced
        if is_spec(function):
            given = {
                k: Known(v, hint=k if plain(v) else None) for k, v in function.keywords.items()
            }
            return self.made(function.func, args, given)
        if isinstance(function, type) and issubclass(function, nn.Module):
            return self.made(function, args, options)
        values = [*args, *options.values()]
        if function in PURE or (canonical(function) is not None and not _of_torch(function)):
            found = self.on_pure(function, args, options)
            if found is not None:
                return found
        inside = getattr(function, "__module__", "").startswith("blocks.")
        if inspect.isfunction(function) and inside:
            found = home(function)
            return self.function(found, self.bound(found, args, options), function.__name__)
        if getattr(function, "__name__", "") == "apply" and _is_function(function):
            kind: Any = getattr(function, "__self__", None)
            found = home(kind.forward, kind)
            env = self.bound(found, [Fields({}, _Context), *args], options)
            return self.function(found, env, kind.__name__.strip("_").lower())
        if inspect.ismethod(function) and inside and isinstance(function.__self__, type):
            found = home(function.__func__, function.__self__)
            env = self.bound(found, [Known(function.__self__), *args], options)
            return self.spliced(found, env)
        if isinstance(function, type) and inside and not is_dataclass(function):
            found, made = method(function, "__init__"), Fields({}, function)
            if found is not None:
                self.spliced(found, self.bound(found, [made, *args], options))
                return made
        if isinstance(function, type) and is_dataclass(function) and inside:
            names_ = list(inspect.signature(function).parameters)
            return Fields({**dict(zip(names_, args, strict=False)), **options}, function)
        if callable(function) and inside and not isinstance(function, type):
            return self.on_method(Known(function), "__call__", args, options)
        code = canonical(function)
        if code is None:
            raise SpecError(f"{function!r} can't be written as code")
        known = [value for value in values if isinstance(value, Known)]
        if len(known) == len(values) and _of_math(function):
            found = function(*(part.value for part in known))
            if not any(part.node or part.hint for part in known):
                return Known(found)
            return Known(found, calling(code, *map(self.code, args)))
        return self.run_time(code, args, options)

    def on_method(
        self, owner: Value, attr: str, args: list[Value], options: dict[str, Value]
    ) -> Value:
        if isinstance(owner, Slot):
            return self.on_slot(owner, attr, args, options)
        if isinstance(owner, Part):
            return self.on_part(owner, attr, args, options)
        if isinstance(owner, Now):
            return self.on_step(attr, args, options)
        if isinstance(owner, Memory):
            raise SpecError(f"its state is asked to {attr}")
        if isinstance(owner, Fields) and owner.kind is dict:
            return self.on_dict(owner, attr, args)
        if isinstance(owner, Many) and attr == "append":
            owner.items.append(args[0])
            return Known(None)
        if isinstance(owner, Fields) and owner.kind is _Context:
            return Known(None)
        if isinstance(owner, Fields) and owner.kind is Seen:
            sight: Value = Sight(args[0].value)  # pyright: ignore[reportAttributeAccessIssue]
            if attr == "shown":
                return Fields({"seen": sight, "causal": Known(False)})
            return Many([sight, Known(False)])
        if isinstance(owner, Fields) or (
            isinstance(owner, Known) and type(owner.value).__module__.startswith("blocks.")
        ):
            kind = owner.kind if isinstance(owner, Fields) else type(owner.value)
            found = method(kind, attr)
            if found is None:
                raise SpecError(f"{kind.__name__}.{attr} has no source")
            label = joined_name(kind, "" if attr == "__call__" else attr)
            return self.function(found, self.bound(found, [owner, *args], options), label)
        if isinstance(owner, Known):
            values = [part for part in args if isinstance(part, Known)]
            if len(values) == len(args) and not options:
                found = getattr(owner.value, attr)(*(part.value for part in values))
                code = None
                if owner.node is not None and plain(found):
                    code = calling(ast.Attribute(owner.node, attr), *map(self.code, args))
                return Known(found, code)
        return self.run_time(ast.Attribute(self.code(owner), attr), args, options)

    def on_dict(self, owner: Fields, attr: str, args: list[Value]) -> Value:
        if attr == "values":
            return Many(list(owner.items.values()))
        if attr == "items":
            return Many([Many([Known(key), part]) for key, part in owner.items.items()])
        if attr == "get" and isinstance(args[0], Known):
            return owner.items.get(args[0].value, args[1] if args[1:] else Known(None))
        raise SpecError(f"a dict is asked for {attr}")

    def bound(self, found: Home, args: list[Value], options: dict[str, Value]) -> dict[str, Value]:
        """What the parameters of a function are."""
        tree = found.tree.args
        names_ = [arg.arg for arg in (*tree.posonlyargs, *tree.args)]
        env: dict[str, Value] = dict(zip(names_, args, strict=False))
        if tree.vararg is not None:
            env[tree.vararg.arg] = Many(args[len(names_) :])
        elif len(args) > len(names_):
            raise SpecError(f"{found.tree.name} is given too much")
        extra = {k: v for k, v in options.items() if k not in {arg.arg for arg in found.params}}
        env |= {k: v for k, v in options.items() if k not in extra}
        if tree.kwarg is not None:
            env[tree.kwarg.arg] = Fields(extra)
        defaults = dict(zip(names_[len(names_) - len(tree.defaults) :], tree.defaults, strict=True))
        pairs = zip(tree.kwonlyargs, tree.kw_defaults, strict=True)
        defaults |= {arg.arg: default for arg, default in pairs if default is not None}
        walk = self.beside({}, found)
        for key, default in defaults.items():
            if key not in env:
                env[key] = walk.value(default)
        return env

    # What a Walk has.
    unzipped: Callable[..., Value]
    replaced: Callable[..., Value | None]
    made: Callable[..., Value]
    function: Callable[..., Value]
    spliced: Callable[..., Value]
    on_part: Callable[..., Value]
    on_slot: Callable[..., Value]
    on_step: Callable[..., Value]


class _Context:
    """What a gradient would keep."""


def _is_function(function: Any) -> bool:
    """Whether it is the `apply` of a gradient written by hand."""
    kind = getattr(function, "__self__", None)
    return isinstance(kind, type) and issubclass(kind, torch.autograd.Function)


def _of_torch(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith("torch")


def _of_math(function: Any) -> bool:
    return getattr(function, "__module__", "") in ("math", "builtins")


def joined_name(kind: type[Any], attr: str) -> str:
    """What a method is called as a function."""
    return "_".join(filter(None, [snake(kind.__name__.strip("_")), attr.strip("_")]))


def snake(text: str) -> str:
    """CamelCase -> camel_case, RMSNorm -> rms_norm."""
    out = ""
    for i, letter in enumerate(text):
        after = text[i + 1 : i + 2]
        starts = i and letter.isupper() and (text[i - 1].islower() or (after and after.islower()))
        out += ("_" if starts else "") + letter.lower()
    return {"ro_pe": "rope"}.get(out, out)
