"""The tape: a step of one token a row as one call of a kernel."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from blocks.attention.memory import KVState
from blocks.attention.ring import KVRing
from blocks.models.causal import CausalLM
from blocks.ops import native
from blocks.positions.rope import RoPE
from blocks.state import State
from blocks.step import Step

NORM, MULTIPLY, TURN, LOOK, ACT, ADD = range(6)  # as tape.h counts them
_AHEAD = 256  # positions whose angles are made at once


class Untaped(Exception):
    """A block that no instruction does; its argument says which."""


class Place(NamedTuple):
    """Some columns of the player's floats, of which each token has a row.

    Attributes:
        base: how many floats a token has before the part that they lie in.
        stride: columns of that part.
        start: the first of them.
        width: how many.
    """

    base: int
    stride: int
    start: int
    width: int

    def cut(self, *widths: int) -> list[Place]:
        """Neighbouring columns, one place each."""
        starts = accumulate(widths, initial=self.start)
        return [self._replace(start=s, width=w) for s, w in zip(starts, widths, strict=False)]


Play = Callable[["Tape", Any, Place, tuple[Any, ...]], Place]
"""Writes the instructions of a block that reads a place, and remembers at a path of the state."""


class Tape:
    """The instructions of all layers of a model, which `ops/kernels/tape.h` plays in one go.

    Between two products of a step lie norms, turns and sums of a few thousand numbers, which cost
    torch more for the call than for the work.

    Args:
        model: prepared by `quicken`, whose tensors it reads where they are.
        plays: how each kind of block is written down.

    Errors:
        Untaped: the model has a block of no such kind.
    """

    def __init__(self, model: CausalLM, plays: dict[type, Play]):
        self.model, self._plays = model, plays
        self.dtype = next(model.parameters()).dtype
        self._code: list[int] = []
        self._numbers: list[float] = []
        self._tensors: dict[tuple[int, str], int] = {}
        self._weights: list[Tensor] = []
        self._ropes: dict[Hashable, RoPE] = {}
        self._memories: list[tuple[tuple[Any, ...], int | None]] = []  # path, and reach of the mask
        every: Any = nn.modules.module
        self._hooks = [every._global_forward_hooks, every._global_forward_pre_hooks]
        self._parts = [_parts(model), _parts(model.layers)]
        self._held: list[tuple[dict[str, Any], str, Tensor]] = []
        self._used = self._most = 0
        x = start = self.take(model.dim)
        for i, layer in enumerate(model.layers):
            self._used = model.dim  # each layer works where the one before it did
            y = self.play(layer, x, (i,))
            x = x if y == x else self.add(x, y, (0.0, 1.0), x)
        if model.norm is not None:
            x = self.play(model.norm, x, ())
        code = torch.tensor([self._most, *start, *x, *self._code])
        numbers = torch.tensor(self._numbers, dtype=torch.float32)
        self._number = torch.ops.blocks.record(code, numbers, self._weights)
        weakref.finalize(self, torch.ops.blocks.discard, self._number)
        self._angles: dict[int, list[Tensor]] = {}  # of the next positions

    def play(self, module: nn.Module, x: Place, path: tuple[Any, ...]) -> Place:
        """Writes down what a block does with x; where its result will be."""
        if type(module) not in self._plays:
            raise Untaped(type(module).__name__)
        self.watch(module)
        return self._plays[type(module)](self, module, x, path)

    def watch(self, module: nn.Module) -> None:
        """Has an eye on a module: the tape does nothing while it has hooks."""
        self._hooks += [module._forward_hooks, module._forward_pre_hooks]
        self._parts.append(_parts(module))

    @property
    def heard(self) -> bool:
        """Whether anyone listens to a block, whom neither a tape nor a graph would tell."""
        return any(self._hooks)

    @property
    def fresh(self) -> bool:
        """Whether the model still has the parts and tensors that it was written from."""
        if any(now != then for now, then in self._parts):
            return False
        return all(held.get(name) is tensor for held, name, tensor in self._held)

    def take(self, width: int) -> Place:
        """A place of its own."""
        base, self._used = self._used, self._used + width
        self._most = max(self._most, self._used)
        return Place(base, width, 0, width)

    def put(self, instruction: int, *what: Place | int, numbers: tuple[float, ...] = ()) -> None:
        """One instruction: places, whole numbers, and numbers beside."""
        self._code.append(instruction)
        for one in what:
            self._code += one if isinstance(one, Place) else [one]
        self._numbers += numbers

    def add(self, a: Place, b: Place, times: tuple[float, float], to: Place | None = None) -> Place:
        """times_0 · a + times_1 · b."""
        to = to or self.take(a.width)
        self.put(ADD, a, b, to, numbers=times)
        return to

    def tensor(self, module: nn.Module, name: str) -> int:
        """The number of a module's parameter or buffer; -1 where it has none."""
        held: Any = getattr(module, name)
        if held is None:
            return -1
        floats = held.dtype.is_floating_point
        if not held.is_contiguous() or (floats and held.dtype != self.dtype):
            raise Untaped(f"a {name} in {held.dtype}")
        if (id(module), name) not in self._tensors:
            self._tensors[id(module), name] = len(self._weights)
            self._weights.append(held)
            home = module._parameters if name in module._parameters else module._buffers
            self._held.append((home, name, held))
        return self._tensors[id(module), name]

    def angles(self, rope: RoPE) -> int:
        """The number of the tables that a rotary embedding turns by in a step."""
        key = (rope.theta, rope.dims, rope.scaling)
        self._ropes.setdefault(key, rope)
        return list(self._ropes).index(key)

    def memory(self, path: tuple[Any, ...], reach: int | None) -> int:
        """The number of the keys and values at a path of the state."""
        self._memories.append((path, reach))
        return len(self._memories) - 1

    @property
    def rows(self) -> int:
        """How many tokens one step has at most."""
        return native.FEW.get(self.dtype, 0)

    def remembered(self, rows: int, state: State) -> list[Tensor] | None:
        """Keys and values of a state, if this tape can use them for so many rows."""
        found: list[Tensor] = []
        if rows > self.rows or self.heard:
            return None
        for path, reach in self._memories:
            held: Any = state.content
            for name in path:
                held = held[name]
            ring = type(held) is KVRing
            if not ring and type(held) is not KVState:
                return None
            size = held.k.shape[2]
            if reach is not None and (size != reach if ring else size > reach):
                return None
            if held.k.dtype != self.dtype:
                return None
            found += [held.k, held.v]
        return found

    def __call__(self, tokens: Tensor, step: Step, memories: list[Tensor]) -> Tensor:
        """The logits [B 1 V] after tokens [B 1]."""
        model = self.model
        x = model.stemmed(model.embedding(tokens), step)[:, 0].contiguous()  # B D
        angles, first = self._turns(step)
        places = step.positions.flatten().contiguous()  # B
        y = torch.ops.blocks.step(x, self._number, memories, angles, places, first)
        return model.head(y[:, None])  # B 1 V

    def _turns(self, step: Step) -> tuple[list[Tensor], int]:
        """Cosines and sines [P R/2] of each rotary embedding, and the position of the first row.

        Where they follow from the position alone, they are made for many steps at once; else
        there is one row a token, and the position is −1.
        """
        clock = step.clock
        fixed = not any(r.scaling is not None and r.scaling.by_length for r in self._ropes.values())
        if clock is None or not clock.even or not fixed:
            return self._made(step.positions, step.length), -1
        first = clock.used // _AHEAD * _AHEAD
        if first not in self._angles:
            places = torch.arange(first, first + _AHEAD)[:, None]
            self._angles = {first: self._made(places, places[-1:] + 1)}
        return self._angles[first], first

    def _made(self, positions: Tensor, length: Tensor) -> list[Tensor]:
        tables = [rope.table(positions, length, self.dtype) for rope in self._ropes.values()]
        return [part.float().flatten(1).contiguous() for pair in tables for part in pair]


def _parts(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of a module as they will be, and as they are."""
    return module._modules, {**module._modules}
