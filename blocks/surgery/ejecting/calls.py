"""Calls in the library's code: written out, kept as functions, or gone."""

from __future__ import annotations

import ast
import inspect
from dataclasses import is_dataclass
from typing import Any

from torch import nn

from blocks.attention.seen import Seen
from blocks.errors import SpecError
from blocks.spec import is_spec
from blocks.surgery.ejecting.code import calling, joined_name
from blocks.surgery.ejecting.literals import canonical
from blocks.surgery.ejecting.pure import PURE, Pure
from blocks.surgery.ejecting.source import Home, home, method
from blocks.surgery.ejecting.values import (
    NONE,
    Bound,
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
    all_known,
    plain,
)

__all__: list[str] = []


class Calls(Pure):
    """What calls give."""

    def on_Call(self, node: ast.Call) -> Value:
        match node.func:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=attr):
                return self.above(attr)
        found = self.value(node.func)
        return self.called(found, *self.given(node))

    def given(self, node: ast.Call) -> tuple[list[Value], dict[str, Value]]:
        items: Any = self.on_Tuple(ast.Tuple(node.args))
        options: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is not None:
                options[keyword.arg] = value
            elif isinstance(value, Fields):
                options |= value.items
            else:
                raise SpecError("options of unknown names")
        return items.items, options

    def above(self, attr: str) -> Value:
        """A method of the base class, which has to be torch's `Module`: what that does is gone."""
        owner: Any = self.env["self"]
        line = type(owner.module).__mro__
        base = next(one for one in line[line.index(self.home.kind) + 1 :] if attr in vars(one))
        if base is not nn.Module:
            raise SpecError(f"a {type(owner.module).__name__} is made of a {base.__name__}")
        return NONE

    def called(self, function: Value, args: list[Value], options: dict[str, Value]) -> Value:
        match function:
            case Bound():
                return self.on_method(function.owner, function.name, args, options)
            case Part():
                return self.on_part(function, "forward", args, options)
            case Known():
                return self.on_known(function.value, args, options)
        return self.run_time(self.code(function), args, options)

    def run_time(self, function: ast.expr, args: list[Value], options: dict[str, Value]) -> Value:
        codes = {key: self.code(value) for key, value in options.items()}
        return Code(calling(function, *map(self.code, args), **codes))

    def on_known(self, function: Any, args: list[Value], options: dict[str, Value]) -> Value:
        found = self.replaced(function, args, options)
        if found is not None:
            return found
        if is_spec(function):
            words = function.keywords.items()
            given = {key: Known(one, hint=key if plain(one) else None) for key, one in words}
            return self.made(function.func, args, given)
        if isinstance(function, type) and issubclass(function, nn.Module):
            return self.made(function, args, options)
        place = getattr(function, "__module__", None) or ""
        if place.startswith("blocks."):
            return self.on_ours(function, args, options)
        code = canonical(function)
        if function in PURE or (code is not None and not place.startswith("torch")):
            found = self.on_pure(function, args, options)
            if found is not None:
                return found
        if code is None:
            raise SpecError(f"{function!r} can't be written as code")
        return self.run_time(code, args, options)

    def on_ours(self, function: Any, args: list[Value], options: dict[str, Value]) -> Value:
        """A function or a class of this library, or an object that is called."""
        if inspect.isfunction(function):
            found = home(function)
            return self.function(found, self.bound(found, args, options), function.__name__)
        if not isinstance(function, type):
            return self.on_method(Known(function), "__call__", args, options)
        if is_dataclass(function):
            labels = inspect.signature(function).parameters
            return Fields({**dict(zip(labels, args, strict=False)), **options}, function)
        found, made = method(function, "__init__"), Fields({}, function)
        if found is None:
            raise SpecError(f"{function.__name__} has no constructor to read")
        self.spliced(found, self.bound(found, [made, *args], options))
        return made

    def on_method(
        self, owner: Value, attr: str, args: list[Value], options: dict[str, Value]
    ) -> Value:
        match owner:
            case Slot():
                return self.on_slot(owner, attr, args, options)
            case Part():
                return self.on_part(owner, attr, args, options)
            case Now():
                return self.on_step(attr, args, options)
            case Memory():
                raise SpecError(f"its state is asked to {attr}")
            case Fields() if owner.kind is dict and attr == "values":
                return Many(list(owner.items.values()))
            case Fields() if owner.kind is Seen:
                sight: Value = Sight(args[0].value)  # pyright: ignore[reportAttributeAccessIssue]
                if attr == "shown":
                    return Fields({"seen": sight, "causal": Known(False)})
                return Many([sight, Known(False)])
            case Fields():
                return self.on_object(owner, owner.kind, attr, args, options)
            case Known() if type(owner.value).__module__.startswith("blocks."):
                return self.on_object(owner, type(owner.value), attr, args, options)
            case Known() if not options and (known := all_known(args)) is not None:
                found = getattr(owner.value, attr)(*known)
                if owner.node is None or not plain(found):
                    return Known(found)
                function = ast.Attribute(owner.node, attr)
                return Known(found, calling(function, *map(self.code, args)))
        return self.run_time(ast.Attribute(self.code(owner), attr), args, options)

    def on_object(
        self,
        owner: Value,
        kind: type[Any],
        attr: str,
        args: list[Value],
        options: dict[str, Value],
    ) -> Value:
        """A method of an object of this library that is no module, as a function."""
        found = method(kind, attr)
        if found is None:
            raise SpecError(f"{kind.__name__}.{attr} has no source")
        label = joined_name(kind, "" if attr == "__call__" else attr)
        return self.function(found, self.bound(found, [owner, *args], options), label)

    def bound(self, found: Home, args: list[Value], options: dict[str, Value]) -> dict[str, Value]:
        """What the parameters of a function are."""
        tree = found.tree.args
        labels = [arg.arg for arg in (*tree.posonlyargs, *tree.args)]
        env: dict[str, Value] = dict(zip(labels, args, strict=False))
        if len(args) > len(labels):
            raise SpecError(f"{found.tree.name} is given too much")
        own = {arg.arg for arg in found.params}
        env |= {key: value for key, value in options.items() if key in own}
        if tree.kwarg is not None:
            env[tree.kwarg.arg] = Fields({k: v for k, v in options.items() if k not in own})
        last = zip(reversed(labels), reversed(tree.defaults), strict=False)
        words = zip((arg.arg for arg in tree.kwonlyargs), tree.kw_defaults, strict=True)
        walk = self.beside({}, found)
        for label, default in (*last, *words):
            if label not in env and default is not None:
                env[label] = walk.value(default)
        return env
