"""Tuples, dicts, comprehensions and what stands between brackets."""

from __future__ import annotations

import ast
from typing import Any

from blocks.errors import SpecError
from blocks.surgery.ejecting.code import name, names
from blocks.surgery.ejecting.expressions import Expressions
from blocks.surgery.ejecting.values import NONE, Code, Fields, Known, Many, Value, all_known, plain

__all__: list[str] = []

_VIEWS = (type({}.items()), type({}.values()), type({}.keys()))


class Sequences(Expressions):
    """Gives values for what is made of parts."""

    def on_Tuple(self, node: ast.Tuple | ast.List) -> Value:
        items: list[Value] = []
        for part in node.elts:
            if isinstance(part, ast.Starred):
                found = self.value(part.value)
                rest = self.listed(found)
                items += [Code(ast.Starred(self.code(found)))] if rest is None else rest
            else:
                items.append(self.value(part))
        return Many(items, list if isinstance(node, ast.List) else tuple)

    on_List = on_Tuple

    def on_Dict(self, node: ast.Dict) -> Value:
        found: dict[Any, Value] = {}
        for key, part in zip(node.keys, node.values, strict=True):
            value, known = self.value(part), None if key is None else self.value(key)
            if isinstance(known, Known):
                found[known.value] = value
            elif known is None and isinstance(value, Fields):
                found |= value.items
            else:
                raise SpecError("a dict of unknown keys")
        return Fields(found)

    def on_Subscript(self, node: ast.Subscript) -> Value:
        owner = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            known = all_known([NONE if part is None else self.value(part) for part in bounds])
            if known is not None and isinstance(owner, Many):
                return Many(owner.items[slice(*known)], owner.kind)
            if known is not None and isinstance(owner, Known):
                return Known(owner.value[slice(*known)])
        else:
            index = self.value(node.slice)
            if isinstance(index, Known) and isinstance(owner, Many):
                return owner.items[index.value]
            if isinstance(index, Known) and isinstance(owner, Known):
                return self.item(owner, index)
        return Code(ast.Subscript(self.code(owner), self.place(node.slice)))

    def place(self, node: ast.expr) -> ast.expr:
        """Code of what stands between brackets."""
        if isinstance(node, ast.Slice):
            parts = (node.lower, node.upper, node.step)
            return ast.Slice(*(None if p is None else self.code(self.value(p)) for p in parts))
        if isinstance(node, ast.Tuple):
            return ast.Tuple([self.place(part) for part in node.elts])
        return self.code(self.value(node))

    def on_Slice(self, node: ast.Slice) -> Value:
        return Code(self.place(node))

    def listed(self, value: Value) -> list[Value] | None:
        """The parts of a value that is walked over, if they are known."""
        if isinstance(value, Many):
            return value.items
        if isinstance(value, Fields):
            return [Known(key) for key in value.items]
        if not isinstance(value, Known):
            return None
        if isinstance(value.value, tuple | list | str):
            return [self.item(value, Known(i)) for i in range(len(value.value))]
        if isinstance(value.value, (dict, *_VIEWS)):
            return [self.parted(part) for part in value.value]
        return None

    def item(self, owner: Known, index: Known) -> Known:
        """One part of what is known."""
        found = owner.value[index.value]
        if owner.node is None or not plain(found):
            return Known(found)
        return Known(found, ast.Subscript(owner.node, self.code(index)))

    def parted(self, part: Any) -> Value:
        """A key, or a key with what belongs to it."""
        return Many([Known(one) for one in part]) if isinstance(part, tuple) else Known(part)

    def on_ListComp(self, node: ast.ListComp | ast.GeneratorExp) -> Value:
        first = node.generators[0]
        source = self.value(first.iter)
        items = self.listed(source)
        if items is None or len(node.generators) > 1:
            return self.run_time_list(node, source)
        found = []
        for item in items:
            walk = self.beside(dict(self.env), self.home)
            walk.lines = self.lines
            walk.bind(first.target, item)
            tests = [walk.truth(walk.value(test)) for test in first.ifs]
            if None in tests:
                raise SpecError("a choice among known parts that is made at run time")
            if all(tests):
                found.append(walk.value(node.elt))
        return Many(found, list)

    on_GeneratorExp = on_ListComp

    def run_time_list(self, node: ast.ListComp | ast.GeneratorExp, source: Value) -> Value:
        walk = self.beside(dict(self.env), self.home)
        generators = []
        for i, each in enumerate(node.generators):
            given = self.code(source) if i == 0 else walk.code(walk.value(each.iter))
            walk.env |= {label: Code(name(label)) for label in names(each.target)}
            kept = []
            for test in each.ifs:
                found = walk.value(test)
                truth = walk.truth(found)
                if truth is None:
                    kept.append(walk.code(found))
                elif not truth:
                    return Many([])
            generators.append(ast.comprehension(each.target, given, kept, 0))
        value = walk.value(node.elt)
        made = self.repeated(value, generators)
        return Code(type(node)(walk.code(value), generators)) if made is None else made
