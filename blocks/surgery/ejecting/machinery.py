"""The library's own machinery, of which an ejected file needs little: what each piece becomes."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from blocks.attention.seen import Seen
from blocks.errors import SpecError
from blocks.ops.rows import Rows
from blocks.surgery.ejecting.source import method
from blocks.surgery.ejecting.values import (
    Code,
    Fields,
    Known,
    Made,
    MadeList,
    Many,
    Memory,
    Now,
    Part,
    Sight,
    Slot,
    Value,
    calling,
    name,
)

__all__: list[str] = []

GONE = "check_input check_width check_positive check_rate check_number check_state check_frames"
GONE = {*GONE.split(), "check_choice", "check_fields", "reset_parameters"}
NEVER = {"is_compiling", "is_grad_enabled", "learns", "suits", "wanted", "looking"}
NEVER |= {"suits_many", "suits_rows"}
STEP = {"real", "segments", "seen", "types", "global_mask", "condition", "clock"}


class Machinery:
    """Answers for calls of the wiring, the step, the state and the checks."""

    scope: Any
    env: dict[str, Value]

    def replaced(self, function: Any, args: list[Value], options: dict[str, Value]) -> Value | None:
        label = getattr(function, "__name__", "")
        if function in (torch.dropout, F.dropout):  # of a model that reads
            return args[0]
        if getattr(function, "__module__", "") == "torch.nn.init":
            return Known(None)
        if function in (torch.is_grad_enabled, torch.compiler.is_compiling):
            return Known(False)
        if function in (torch.add, torch.mul) and len(args) == 2 and not options:
            return self.joined(ast.Add() if function is torch.add else ast.Mult(), *args)
        inside = str(getattr(function, "__module__", "")).startswith(("blocks.", "torch."))
        if not inside and function is not reduce:
            return None
        owner = getattr(function, "__self__", None)
        if (label == "of" and owner is Rows) or function is Rows:
            return self._rows()
        if label == "new" and owner is Seen:
            k, v, _ = args
            return Fields({"k": k, "v": v, "positions": self.attribute(Now(), "positions")}, Seen)
        if function is reduce:
            step, parts = args
            items = self.listed(parts)
            return reduce(lambda a, b: self.called(step, [a, b], {}), items[1:], items[0])
        if label in GONE:
            return Known(None)
        if label in NEVER:
            return Known(False)
        special = getattr(self, f"of_{label}", None)
        if special is not None:
            return special(*args, **options)
        if label == "no_grad":
            raise SpecError("a gradient is held back")
        return None

    def of_check_heads(
        self, block: Value, dim: Any, heads: Any, kv: Any, head_dim: Any, shared: Any = None
    ) -> Value:
        if head_dim.value is not None:
            return head_dim
        code = ast.BinOp(self.code(dim), ast.FloorDiv(), self.code(heads))
        return Known(dim.value // heads.value, code)

    def of_together(self, x: Value, *parts: Value) -> Value:
        return Many([self.called(part, [x], {}) for part in parts])

    def of_biases(self, parts: Value, *positions: Value) -> Value:
        found: Any = [self.called(part, [*positions], {}) for part in self.listed(parts) or ()]
        return self.on_known(sum, [Many(found[1:]), found[0]], {}) if found else Known(None)

    def of_opened(self, x: Value, gate: Value, up: Value, act: Value) -> Value:
        left, right = self.called(gate, [x], {}), self.called(up, [x], {})
        return self.joined(ast.Mult(), self.called(act, [left], {}), right)

    def of_call(self, module: Value, x: Value, step: Value, state: Value, names: Any) -> Value:
        known = names.value
        if "state" in known:
            return self.called(module, [x, step, state], {})
        return self.called(module, [x, step] if "step" in known else [x], {})

    def of_wants(self, module: Value) -> Value:
        from blocks.ops.wants import wants

        if isinstance(module, Part):
            return Known(wants(module.module))
        return Known(frozenset())

    def of_part_of(self, memory: Value, key: Any, parts: Value) -> Value:
        if not isinstance(memory, Memory):
            return memory
        several = parts.value > 1 and self.scope.info.memories > 1  # pyright: ignore[reportAttributeAccessIssue]
        return self.scope.book.memory_of(memory, key, several)

    def of_noted(self, **values: Value) -> Value:
        return Many(list(values.values()))

    def of_through(self, mix: Any, v: Value) -> Value:
        return self.called(mix, [v], {})

    def of_recall(self, block: Value, state: Value, k: Value, v: Value, step: Value) -> Value:
        if isinstance(state, Memory):
            k, v = self.of_memory(state, {"k": k, "v": v})
        positions = Code(self.scope.need("keys" if isinstance(state, Memory) else "positions"))
        return Fields({"k": k, "v": v, "positions": positions}, Seen)

    def of_memory(self, state: Memory, new: dict[str, Value]) -> list[Value]:
        """Keys and values behind those of earlier calls, in variables of their names."""
        self.scope.book.helpers.add("remember")
        targets, codes = [], []
        for key, value in new.items():
            code = self.code(value)
            targets.append(code if isinstance(code, ast.Name) else name(key))
            codes.append(calling("remember", state.node, ast.Constant(key), code))
        node: Any = ast.Assign([ast.Tuple([*targets])], ast.Tuple([*codes]))
        self.emit(node)
        return [Code(target) for target in targets]

    def of_attend(self, q: Value, k: Value, v: Value, **how: Any) -> Value:
        book, seen = self.scope.book, how.pop("seen", Known(None))
        maps, sinks, bias = (how.get(key, Known(None)) for key in ("maps", "sinks", "bias"))
        scale = how.get("scale", Known(None))
        mask = seen.mask if isinstance(seen, Sight) else None
        listed = self.listed(maps) if isinstance(maps, Many) else []
        explicit = bool(listed) or not _none(sinks)
        by_table = explicit or not _none(bias)
        both = mask is not None and book.is_full(mask)
        table: Value = Known(None)
        if mask is not None:
            code = book.sight(self.scope, mask, table=by_table and not both)
            table = Code(code, optional=not by_table or both)
        elif not _none(seen):
            table = seen
        if explicit:
            from blocks.ops import attend as home_of

            given = {"seen": table, "causal": Known(False), "maps": Many(listed), "sinks": sinks}
            return self.on_known(
                home_of.attend_plain, [q, k, v], {**given, "bias": bias, "scale": scale}
            )
        return self._by_kernel([q, k, v], table, bias, scale, by_table, both or mask is None)

    def _by_kernel(
        self, qkv: list[Value], table: Value, bias: Value, scale: Value, told: bool, both: bool
    ) -> Value:
        """By torch's own attention."""
        q = self.code(qkv[0])
        owner = self.env.get("self")
        heads = getattr(getattr(owner, "module", None), "heads", 1)
        grouped = getattr(getattr(owner, "module", None), "kv_heads", heads) != heads
        options: dict[str, ast.expr] = {}
        mask = None if _none(table) else self.code(table)
        if not _none(bias):
            mask = self.scope.book.biased(self, bias, table, q)
        args = [q, self.code(qkv[1]), self.code(qkv[2])] + ([] if mask is None else [mask])
        if not told and not both and mask is not None:
            one = ast.Compare(mask, [ast.Is()], [ast.Constant(None)])
            more = ast.Compare(
                ast.Subscript(ast.Attribute(q, "shape"), ast.Constant(2)),
                [ast.Gt()],
                [ast.Constant(1)],
            )
            options["is_causal"] = ast.BoolOp(ast.And(), [one, more])
        if not _none(scale):
            options["scale"] = self.code(scale)
        if grouped:
            options["enable_gqa"] = ast.Constant(True)
        label = name(self.scope.unique("y"))
        call = calling("F.scaled_dot_product_attention", *args, **options)
        self.emit(ast.Assign([label], call))
        return Code(label)

    def of_build_named(self, owner: Any, dim: Value, slots: Any) -> Value:
        pairs = slots.items if isinstance(slots, Fields) else slots.value
        for key, slot in pairs.items():
            value = slot if isinstance(slot, Value) else Known(slot)
            self.scope.info.took(self, owner, key, self.called(value, [dim], {}), None)
        return Known(owner.module._wants)

    # The step.

    def on_step(self, attr: str, args: list[Value], options: dict[str, Value]) -> Value:
        if attr == "once":
            return self.scope.book.once(self, args[0], args[1])
        raise SpecError(f"a step is asked to {attr}")

    def _rows(self) -> Value:
        """`Rows.of`: nothing is packed and nothing is padded."""
        self.scope.book.unpadded = True
        empty: dict[Any, Value] = {key: Known(None) for key in ("slots", "places", "lengths")}
        return Fields(empty, Rows)

    # Modules.

    def made(self, kind: Any, args: list[Value], options: dict[str, Value]) -> Value:
        found = method(kind, "__init__")
        if kind.__module__.startswith("torch.") or found is None:
            known = {str(i): part for i, part in enumerate(args)}
            return Made(kind, {**known, **options})
        env = self.bound(found, [Known(None), *args], options)
        env.pop("self")
        return Made(kind, env)

    def on_slot(self, owner: Slot, attr: str, args: list[Value], options: Any) -> Value:
        if attr in GONE or attr == "reset_parameters":
            return Known(None)
        if attr in ("register_buffer", "register_parameter", "add_module"):
            key = args[0].value  # pyright: ignore[reportAttributeAccessIssue]
            self.scope.info.took(self, owner, key, args[1], None, buffer=attr == "register_buffer")
            return Known(None)
        found = method(type(owner.module), attr)
        if found is None:
            raise SpecError(f"{attr} of {type(owner.module).__name__}")
        return self.spliced(found, self.bound(found, [owner, *args], options))

    def repeated(self, value: Value, generators: list[ast.comprehension]) -> Value | None:
        if not isinstance(value, Made) or len(generators) > 1 or generators[0].ifs:
            return None
        source: Any = generators[0].iter
        return MadeList(value, source.args[0])

    def on_part(self, owner: Part, attr: str, args: list[Value], options: Any) -> Value:
        book, kind = self.scope.book, type(owner.module)
        if attr.strip("_").startswith("check"):
            return Known(None)
        if attr == "forward" and isinstance(owner.module, nn.Dropout | nn.Identity):
            return args[0]
        if kind.__module__.startswith("torch."):
            given = [part for part in args if not isinstance(part, Now | Memory)]
            return self.run_time(self.code(owner), given, options)
        if attr == "forward" and kind.__name__ == "Dropout":
            return args[0]
        if attr == "named_children":
            pairs = ((key, self.attribute(owner, key)) for key in owner.module._modules)
            return Many([Many([Known(key), part]) for key, part in pairs])
        if kind.forward is nn.Linear.forward:
            return self.run_time(self.code(owner), args, {})
        return book.called(self, owner, attr, args, options)

    called: Callable[..., Value]
    code: Callable[..., ast.expr]
    listed: Callable[..., Any]
    bound: Callable[..., dict[str, Value]]
    spliced: Callable[..., Value]
    run_time: Callable[..., Value]
    on_known: Callable[..., Value]
    attribute: Callable[..., Value]
    joined: Callable[..., Value]
    emit: Callable[..., None]


def _none(value: Value) -> bool:
    return isinstance(value, Known) and value.value is None
