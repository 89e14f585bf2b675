"""The model itself: embedding, layers, norm and head, and what its layers share."""

from __future__ import annotations

import ast
from typing import Any

from torch import nn

from blocks.attention.mask import Causal, Full, Mask, Window
from blocks.errors import SpecError
from blocks.surgery.ejecting.book import Book
from blocks.surgery.ejecting.classes import ClassInfo, wires
from blocks.surgery.ejecting.code import calling, line, name, numbered, parsed, setting, snake
from blocks.surgery.ejecting.scopes import BodyScope, InitScope, Scope
from blocks.surgery.ejecting.source import method
from blocks.surgery.ejecting.values import NONE, Code, Known, Memory, Now, Part, Slot, Value
from blocks.surgery.ejecting.walking import Walk

__all__: list[str] = []


def lines(text: str) -> list[Any]:
    """Statements written out, with the comments at the ends of their lines."""
    rows = text.split("\n")
    found = ast.parse(text).body
    for part in (part for one in found for part in ast.walk(one) if isinstance(part, ast.stmt)):
        whole = isinstance(part, ast.If | ast.For)
        _, sign, comment = ("" if whole else rows[(part.end_lineno or 1) - 1]).partition("  #")
        line(part, sign.strip() + comment)
    return found


class Assembly:
    """A model in the making: the lines of its constructor and of its `forward`."""

    def __init__(self, book: Book, module: nn.Module, spec: Any, causal: bool):
        self.book, self.module, self.spec, self.causal = book, module, spec, causal
        self.info = ClassInfo(book, module, type(module).__name__, config=True)
        self.info.inside.add(id(module))
        self.scope = BodyScope(book, self.info)
        self.walk = Walk(self.scope, {}, None)
        self.maker = self.info.walk = Walk(InitScope(book, self.info), {}, None)
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
        self.maker.lines = self.info.init
        made = self.maker.called(Known(slot), list(sizes), {})
        self.info.took(self.maker, Slot(self.module), attr, made, None)
        found: Any = self.info.attribute(Part(self.module, name("self")), attr)
        return found

    def through(self, part: Part | None, x: str) -> list[Any]:
        """x passed through a part that may ask for the step."""
        if part is None:
            return []
        self.walk.lines = []
        value = self.walk.called(part, [Code(name(x)), *asked(part.module, step=Now())], {})
        return [*self.walk.lines, setting(name("x"), self.walk.code(value), "# B T D")]

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
        walk = Walk(Scope(self.book), {}, None)
        memory = Memory(name("memory")) if self.causal else NONE
        more = asked(module, step=Now(), state=memory)
        found: Any = walk.called(Part(module, name("layer")), [Code(name("x")), *more], {})
        needs = {label: key for key, label in walk.scope.needs.items()}
        keys = [needs.get(arg.id, "cache") for arg in found.node.args[1:]]
        base = "layer" if len(set(self.spec.keywords["layers"])) == 1 else named(module)
        label = next(one for one in numbered(base) if one not in self.kinds)
        info.label = "Layer" if label == "layer" else f"{base.title().replace('_', '')}Layer"
        self.kinds[label] = (info, keys)
        return label

    def made_layers(self) -> list[Any]:
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
        made = f"self.layers = nn.ModuleList(kinds[kind](config) for {over})"
        return lines(f"kinds = {{{table}}}\n{made}")

    # What layers share.

    def shared(self, keys: list[Any]) -> list[Any]:
        """Lines that make what layers share, each once."""
        made: list[Any] = []
        for key in keys:
            held = self.book.shared[key]
            label = self.scope.need(key)
            if isinstance(key, tuple) and key[0] == "seen":
                made += self.sight(label, *key[1:])
            elif held.closure is not None:
                self.walk.lines = []
                walk = self.walk.beside(held.closure.env, held.closure.home)
                value = walk.value(held.closure.node.body)  # pyright: ignore[reportArgumentType]
                made += [*walk.lines, setting(label, self.walk.code(value))]
        return made

    def sight(self, label: ast.expr, mask: Mask, table: bool) -> list[Any]:
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
            plain = parsed("mask is None") if padded else ast.Constant(True)
        elif not table and isinstance(mask, Causal):
            plain = name("plain")
        elif not table and isinstance(mask, Window):
            size = self.scope.lift("size", mask.size)
            fits = ast.Compare(parsed("keys.shape[1]"), [ast.LtE()], [size])
            plain = ast.BoolOp(ast.And(), [name("plain"), fits])
        if plain is not None:
            code = ast.IfExp(plain, ast.Constant(None), code)
        return [setting(label, code, "# B 1 T S")]


def asked(module: nn.Module, **known: Value) -> list[Value]:
    """Those of some values that the `forward` of a module asks for."""
    forward: Any = method(type(module), "forward")
    params = {arg.arg for arg in forward.params}
    return [value for key, value in known.items() if key in params]


def named(module: nn.Module) -> str:
    """What a layer is called by: the mixer in it, and how far it sees."""
    for part in module.modules():
        mask = getattr(part, "mask", None)
        if isinstance(mask, Mask):
            kind = snake(type(mask).__name__)
            return "full" if kind == "causal" else kind
        if hasattr(part, "init_state") and not wires(part):
            return snake(type(part).__name__)
    return "plain"
