"""The model itself: embedding, layers, norm and head, and what its layers share."""

from __future__ import annotations

import ast
from typing import Any

from torch import nn

from blocks.attention.mask import Causal, Full, Mask, Window
from blocks.errors import SpecError
from blocks.surgery.ejecting.book import Book
from blocks.surgery.ejecting.calls import snake
from blocks.surgery.ejecting.classes import ClassInfo
from blocks.surgery.ejecting.scopes import BodyScope, InitScope
from blocks.surgery.ejecting.source import method
from blocks.surgery.ejecting.values import (
    Code,
    Known,
    Memory,
    Now,
    Part,
    Value,
    calling,
    name,
)
from blocks.surgery.ejecting.walking import Walk, line

__all__: list[str] = []


def lines(text: str) -> list[ast.stmt]:
    """Statements written out, with the comments at the ends of their lines."""
    found = ast.parse(text).body
    rows = text.split("\n")
    for one in found:
        for part in ast.walk(one):
            if isinstance(part, ast.stmt):
                row = (
                    rows[(part.end_lineno or 1) - 1]
                    if not isinstance(part, ast.If | ast.For)
                    else ""
                )
                line(part, "#" + row.partition("  #")[2] if "  #" in row else "")
    return found


class Assembly:
    """A model in the making: the lines of its constructor and of its `forward`."""

    def __init__(self, book: Book, module: nn.Module, spec: Any, causal: bool):
        self.book, self.module, self.spec, self.causal = book, module, spec, causal
        self.info = ClassInfo(book, module, type(module).__name__, config=True)
        self.info.inside.add(id(module))
        self.scope = BodyScope(self.info)
        self.walk = Walk(self.scope, {}, None)
        self.maker = Walk(InitScope(self.info), {}, None)
        self.info.walk = self.maker
        self.kinds: dict[str, tuple[ClassInfo, list[Any]]] = {}
        self.layers: list[str] = []

    # Parts.

    def size(self, key: str) -> Known:
        return Known(getattr(self.module, key), hint=key)

    def part(self, attr: str, *sizes: Value) -> Part | None:
        """A part of the model, made in its constructor."""
        slot, module = self.spec.keywords.get(attr), getattr(self.module, attr, None)
        if slot is None or module is None:
            return None
        made: Any = self.maker.called(Known(slot), list(sizes), {})
        before = self.maker.lines
        self.maker.lines = []
        slot_: Any = _Slot(self.module)
        self.info.took(self.maker, slot_, attr, made, None)
        self.info.init += self.maker.lines
        self.maker.lines = before
        found: Any = self.info.attribute(Part(self.module, name("self")), attr)
        return found

    def through(self, part: Part | None, x: str) -> list[ast.stmt]:
        """x passed through a part that may ask for the step."""
        if part is None:
            return []
        forward: Any = method(type(part.module), "forward")
        asked = {arg.arg for arg in forward.params}
        given: list[Value] = [Code(name(x)), *([Now()] if "step" in asked else [])]
        self.walk.lines = []
        value = self.walk.called(part, given, {})
        return [*self.walk.lines, line(ast.Assign([name("x")], self.walk.code(value)), "# B T D")]

    # Layers.

    def stack(self) -> None:
        """Finds the kinds of layers, each written once."""
        known: dict[Any, str] = {}
        for module, spec in zip(self.module.layers, self.spec.keywords["layers"], strict=True):  # pyright: ignore[reportArgumentType]
            if spec not in known:
                known[spec] = self.kind(module, spec)
            self.layers.append(known[spec])

    def kind(self, module: nn.Module, spec: Any) -> str:
        info = ClassInfo(self.book, module, "Layer", config=True)
        self.book.infos[id(module)] = info
        made: Any = self.maker.called(Known(spec), [self.size("dim")], {})
        info.begin(made.given)
        walk = Walk(_Outer(self.book), {}, None)
        given: list[Value] = [Code(name("x"))]
        asked = {arg.arg for arg in method(type(module), "forward").params}  # pyright: ignore[reportOptionalMemberAccess]
        given += [Now()] if "step" in asked else []
        if "state" in asked:
            given.append(Memory(name("memory")) if self.causal else Known(None))
        found: Any = walk.called(Part(module, name("layer")), given, {})
        needs = {label: key for key, label in walk.scope.needs.items()}
        keys = [needs.get(arg.id, "cache") for arg in found.node.args[1:]]
        label = "layer" if len(set(self.spec.keywords["layers"])) == 1 else named(module)
        label, base, i = label, label, 2
        while label in self.kinds:
            label, i = f"{base}_{i}", i + 1
        info.label = (
            "Layer" if label == "layer" else "".join(p.title() for p in base.split("_")) + "Layer"
        )
        self.kinds[label] = (info, keys)
        return label

    def made_layers(self) -> list[ast.stmt]:
        """The lines of the constructor that make the layers."""
        book, kinds = self.book, self.kinds
        labels = {label: book.finish(info) for label, (info, _) in kinds.items()}
        if len(kinds) == 1:
            depth = book.field("depth", len(self.layers))
            over = f"_ in range(config.{depth})"
        else:
            book.config["layers"] = list(self.layers)
            over = "kind in config.layers"
        if len(set(labels.values())) == 1:
            over = over.replace("kind in", "_ in")
            one = next(iter(labels.values()))
            return lines(f"self.layers = nn.ModuleList({one}(config) for {over})")
        table = ", ".join(f'"{label}": {value}' for label, value in labels.items())
        return [
            *lines(f"kinds = {{{table}}}"),
            *lines(f"self.layers = nn.ModuleList(kinds[kind](config) for {over})"),
        ]

    # What layers share.

    def shared(self, keys: list[Any]) -> list[ast.stmt]:
        """Lines that make what layers share, each once."""
        made: list[ast.stmt] = []
        for key in keys:
            held = self.book.shared[key]
            label = self.scope.need(key)
            if isinstance(key, tuple) and key[0] == "seen":
                made += self.sight(label, *key[1:])
            elif held.closure is not None:
                self.walk.lines = []
                walk = self.walk.beside(held.closure.env, held.closure.home)
                value = walk.value(held.closure.node.body)  # pyright: ignore[reportArgumentType]
                made += [*walk.lines, line(ast.Assign([label], self.walk.code(value)))]
        return made

    def sight(self, label: ast.expr, mask: Mask, table: bool) -> list[ast.stmt]:
        """Which keys each query sees: [B 1 T S], or None where attention knows without a table."""
        found: Any = method(type(mask), "__call__")
        env = self.walk.bound(found, [Known(mask), Code(name("q")), Code(name("k"))], {})
        see = self.walk.written_out(found, env)
        if see is None:
            raise SpecError(f"what a {type(mask).__name__} lets see is no expression")
        padded = not self.book.unpadded
        self.book.helpers.add("visible" if padded else "visible_all")
        args = [self.walk.code(see), *([name("mask")] if padded else [])]
        code: ast.expr = calling("visible", *args)
        plain: ast.expr | None = None
        if isinstance(mask, Full):
            plain = ast.parse("mask is None", mode="eval").body if padded else ast.Constant(True)
        elif not table and isinstance(mask, Causal):
            plain = name("plain")
        elif not table and isinstance(mask, Window):
            size = self.scope.lift("size", mask.size)
            fits = ast.Compare(ast.parse("keys.shape[1]", mode="eval").body, [ast.LtE()], [size])
            plain = ast.BoolOp(ast.And(), [name("plain"), fits])
        if plain is not None:
            code = ast.IfExp(plain, ast.Constant(None), code)
        return [line(ast.Assign([label], code), "# B 1 T S")]


class _Slot:
    """The model's own constructor."""

    prefix, path = "", ""

    def __init__(self, module: nn.Module):
        self.module = module
        self.made: dict[str, Value] = {}


class _Outer(InitScope):
    """Where layers are called before the model's own lines are written."""

    def __init__(self, book: Book):
        self.book, self.needs, self.taken, self.numbered = book, {}, set(), {}
        self.info = None


def named(module: nn.Module) -> str:
    """What a layer is called by: the mixer in it, and how far it sees."""
    for part in module.modules():
        mask = getattr(part, "mask", None)
        if isinstance(mask, Mask):
            return {"causal": "full"}.get(snake(type(mask).__name__), snake(type(mask).__name__))
        kind = type(part).__name__
        if hasattr(part, "init_state") and kind not in ("Residual", "Chain", "Parallel", "Normed"):
            return snake(kind)
    return "plain"
