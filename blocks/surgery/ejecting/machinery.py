"""The library's own machinery, of which an ejected file needs little: what each piece becomes."""

from __future__ import annotations

import ast
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from blocks.attention.mask import Full
from blocks.attention.seen import Seen
from blocks.errors import SpecError
from blocks.ops.attend import attend_plain
from blocks.ops.rows import Rows
from blocks.ops.wants import wants
from blocks.surgery.ejecting.code import calling, name, parsed, setting, substituted
from blocks.surgery.ejecting.literals import Literals
from blocks.surgery.ejecting.source import method
from blocks.surgery.ejecting.values import (
    NONE,
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
)

__all__: list[str] = []

GONE = "check_input check_width check_positive check_rate check_number check_state check_frames"
GONE = {*GONE.split(), "check_choice", "check_fields", "reset_parameters"}
NEVER = {"learns", "suits", "suits_many", "suits_rows", "wanted", "looking"}


class Machinery(Literals):
    """Answers for calls of the wiring, the step, the state and the checks."""

    def replaced(self, function: Any, args: list[Value], options: dict[str, Value]) -> Value | None:
        label = getattr(function, "__name__", "")
        if function in (torch.dropout, F.dropout):  # of a model that reads
            return args[0]
        if function in (torch.is_grad_enabled, torch.compiler.is_compiling):
            return Known(False)
        if function in (torch.add, torch.mul) and len(args) == 2 and not options:
            return self.joined(ast.Add() if function is torch.add else ast.Mult(), *args)
        inside = str(getattr(function, "__module__", "")).startswith(("blocks.", "torch."))
        if not inside and function is not reduce:
            return None
        owner = getattr(function, "__self__", None)
        if (label == "of" and owner is Rows) or function is Rows:
            return self.rows()
        if function is reduce:
            step, parts = args
            items: Any = self.listed(parts)
            return reduce(lambda a, b: self.called(step, [a, b], {}), items[1:], items[0])
        if label in GONE:
            return NONE
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
        return self.on_known(sum, [Many(found[1:]), found[0]], {}) if found else NONE

    def of_opened(self, x: Value, gate: Value, up: Value, act: Value) -> Value:
        left, right = self.called(gate, [x], {}), self.called(up, [x], {})
        return self.joined(ast.Mult(), self.called(act, [left], {}), right)

    def of_call(self, module: Value, x: Value, step: Value, state: Value, names: Any) -> Value:
        known = names.value
        if "state" in known:
            return self.called(module, [x, step, state], {})
        return self.called(module, [x, step] if "step" in known else [x], {})

    def of_wants(self, module: Any) -> Value:
        return Known(wants(module.module))

    def of_part_of(self, memory: Value, key: Any, parts: Value) -> Value:
        if isinstance(memory, Memory) and self.scope.info.memories > 1:
            raise SpecError("several of its parts remember something")
        return memory

    def of_noted(self, **values: Value) -> Value:
        return Many(list(values.values()))

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
        self.lines.append(setting(ast.Tuple(targets), ast.Tuple(codes)))
        return [Code(target) for target in targets]

    def of_attend(self, q: Value, k: Value, v: Value, **how: Any) -> Value:
        seen, maps, sinks, bias, scale = (
            how.get(key, NONE) for key in ("seen", "maps", "sinks", "bias", "scale")
        )
        explicit = bool(isinstance(maps, Many) and maps.items) or not sinks.is_none
        full = isinstance(seen, Sight) and isinstance(seen.mask, Full)
        by_table = explicit or not bias.is_none
        table = seen
        if isinstance(seen, Sight):
            code = self.scope.book.sight(self.scope, seen.mask, table=by_table and not full)
            table = Code(code, optional=not by_table or full)
        if explicit:
            given = {"seen": table, "causal": Known(False), "maps": maps, "sinks": sinks}
            given |= {"bias": bias, "scale": scale}
            return self.on_known(attend_plain, [q, k, v], given)
        causal = isinstance(seen, Sight) and not by_table and not full
        return self.by_kernel([q, k, v], table, bias, scale, causal)

    def by_kernel(
        self, qkv: list[Value], table: Value, bias: Value, scale: Value, causal: bool
    ) -> Value:
        """By torch's own attention, in a line of its own."""
        args = [self.code(part) for part in qkv]
        options: dict[str, ast.expr] = {}
        if not bias.is_none:
            args.append(self.scope.book.biased(self, bias, table, args[0]))
        elif not table.is_none:
            args.append(self.code(table))
        if causal:
            plain = parsed("seen is None and q.shape[2] > 1")
            options["is_causal"] = substituted(plain, {"seen": args[3], "q": args[0]})
        if not scale.is_none:
            options["scale"] = self.code(scale)
        block = getattr(self.env.get("self"), "module", None)
        heads = getattr(block, "heads", None)
        if getattr(block, "kv_heads", heads) != heads:
            options["enable_gqa"] = ast.Constant(True)
        label = name(self.scope.unique("y"))
        call = calling("F.scaled_dot_product_attention", *args, **options)
        self.lines.append(setting(label, call))
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

    def rows(self) -> Value:
        """`Rows.of`: nothing is packed and nothing is padded."""
        self.scope.book.unpadded = True
        empty: dict[Any, Value] = dict.fromkeys(("slots", "places", "lengths"), NONE)
        return Fields(empty, Rows)

    # Modules.

    def made(self, kind: Any, args: list[Value], options: dict[str, Value]) -> Value:
        found = method(kind, "__init__")
        if kind.__module__.startswith("torch.") or found is None:
            known = {str(i): part for i, part in enumerate(args)}
            return Made(kind, {**known, **options})
        env = self.bound(found, [NONE, *args], options)
        env.pop("self")
        return Made(kind, env)

    def on_slot(self, owner: Slot, attr: str, args: list[Value], options: Any) -> Value:
        if attr in GONE:
            return NONE
        if attr in ("register_buffer", "register_parameter", "add_module"):
            key = args[0].value  # pyright: ignore[reportAttributeAccessIssue]
            self.scope.info.took(self, owner, key, args[1], None, buffer=attr == "register_buffer")
            return NONE
        raise SpecError(f"a constructor that calls {attr}")

    def repeated(self, value: Value, generators: list[ast.comprehension]) -> Value | None:
        if not isinstance(value, Made) or len(generators) > 1 or generators[0].ifs:
            return None
        source: Any = generators[0].iter
        return MadeList(value, source.args[0])

    def on_part(self, owner: Part, attr: str, args: list[Value], options: Any) -> Value:
        book, kind = self.scope.book, type(owner.module)
        if attr.strip("_").startswith("check"):
            return NONE
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
        return book.called(self, owner, attr, args, options)
