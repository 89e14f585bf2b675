"""State: what a model remembers between calls, passed in and never kept in a module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.step import Step

__all__ = ["Clock", "Content", "State"]


class Clock:
    """When it is, for all layers at once: how far each row has come and which slots are written.

    Attributes:
        next: [B] int64, the position of each row's next token. A tensor, since a compiled step
            would be compiled anew for every value of an int.
        used: no row has come further than this.
        room: how many tokens fit, None where contents grow.
        even: every row has come exactly `used` tokens far, without padding.
    """

    def __init__(self, batch: int, room: int | None, device: torch.device | None):
        self.next = torch.zeros(batch, dtype=torch.int64, device=device)
        self.used = 0
        self.room = room
        self.even = True

    def advance(self, new: int, real: Tensor | None) -> None:
        self.next = self.next + (new if real is None else real.sum(1))
        self.used += new
        self.even = self.even and real is None
        if not self.even and self.room is not None and self.used > self.room:
            self.used = int(self.next.max())


class Content:
    """What one layer remembers: a dataclass whose tensors have the batch first.

    A new kind of memory lists its tensors as dataclass fields; `select`, `copy` and `nbytes` of
    the State then reach it. One that can forget its newest tokens sets `trims = True`; one that
    sums over the whole text names in `wide` the tensors that are at least float32 for that. Where a
    step of one token reads and writes those tensors alone, and never asks the clock, `timeless =
    True` lets it be compiled.
    """

    trims = False
    timeless = False
    wide: ClassVar[tuple[str, ...]] = ()

    def reserve(self, room: int) -> None:
        """Makes room for so many tokens in all, where it takes more for more of them."""

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        for item in fields(self):  # pyright: ignore[reportArgumentType]  # subclasses are dataclasses
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                yield item.name, value

    def changed(self, change: Callable[[Tensor], Tensor]) -> Content:
        other = copy.copy(self)
        for name, value in self.tensors():
            setattr(other, name, change(value))
        return other


class State:
    """The memory of one model for a batch of sequences: one clock and a tree of contents.

    The tree mirrors the modules; None stands where nothing is remembered. A part that goes by a
    clock of its own, such as one that counts patches, has a State in it. `model.init_state` makes
    one, each call with `state=` reads and extends it.

    Example:
        >>> import torch
        >>> from blocks import GQAttention, State
        >>> attention = GQAttention(8, heads=2)
        >>> x = torch.randn(1, 5, 8)
        >>> state = State.of(attention, batch=1)
        >>> parts = [state.run(attention, part) for part in x.split([3, 1, 1], dim=1)]
        >>> torch.allclose(torch.cat(parts, 1), attention(x), atol=1e-6)
        True
    """

    def __init__(self, clock: Clock, content: Any):
        self.clock = clock
        self.content = content
        self.prepared: Any = None  # the same contents, as a compiled step takes them

    @classmethod
    def of(
        cls,
        module: nn.Module,
        batch: int,
        room: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """An empty state for any block or assembly.

        Args:
            module: what will be called with it.
            batch: how many sequences.
            room: how many tokens each may have in all; None lets the contents grow.
            dtype: of the activations; by default that of the module's first parameter.

        Errors:
            GenerationError: batch or room below 1, or more than memory holds.
        """
        for name, value in {"batch": batch, "room": 1 if room is None else room}.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                reason = f"{value!r} is not a whole number above zero"
                raise GenerationError(reason, field=name)
        first = next(module.parameters(), None)
        device = None if first is None else first.device
        kind = dtype or (torch.get_default_dtype() if first is None else first.dtype)
        try:
            return cls(Clock(batch, room, device), content_of(module, batch, room, kind, device))
        except RuntimeError as error:  # what torch says where memory can't be had
            text = str(error).partition("\n")[0]
            reason = f"there is no memory for {batch} sequences of {room} tokens: {text}"
            raise GenerationError(reason, field="room") from error

    def begin(self, batch: int, new: int, mask: Tensor | None = None) -> Step:
        """The step of the next `new` tokens of every row; mask [B T] is True where they are real.

        Errors:
            GenerationError: another batch size than the state's, or no room left.
        """
        clock = self.clock
        if batch != len(clock.next):
            raise GenerationError(
                f"the state is for {len(clock.next)} sequences, the input has {batch}",
                field="state",
                hint="make one with init_state(batch=...), or take rows of it with state.select",
            )
        if mask is None:
            after = clock.used + new
            start = clock.next[:1] if clock.even else clock.next
            positions = start[:, None] + torch.arange(new, device=start.device)
        else:
            after = clock.used + new
            positions = clock.next[:, None] + (mask.cumsum(1) - 1).clamp(min=0)
        if clock.room is not None and after > clock.room:
            counted = clock.next + (new if mask is None else mask.sum(1))
            if int(counted.max()) > clock.room:
                raise GenerationError(
                    f"{int(counted.max())} tokens don't fit into room for {clock.room}",
                    field="room",
                    hint="make the state with more room, or with room=None, which grows",
                )
        return Step(positions, real=mask, clock=clock)

    def end(self, step: Step) -> None:
        """Moves the clock on, after all layers have run."""
        self.clock.advance(step.positions.shape[1], step.real)

    def run(self, module: nn.Module, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """One call of a block [B T D] -> [B T D] with this state: begin, forward, end."""
        step = self.begin(x.shape[0], x.shape[1], mask)
        y = module(x, step, self.content)
        self.end(step)
        return y

    def select(self, rows: Tensor) -> State:
        """The state of some rows [N] (repeats allowed): beam search, or finished rows left out."""
        return self.changed(lambda tensor: tensor.index_select(0, rows))

    def copy(self) -> State:
        """An independent copy, to go back to."""
        return self.changed(torch.clone)

    def bookmark(self) -> State:
        """A state to go back to once this one has read on, and has then been given up.

        It shares what can forget its newest tokens: what is written behind them is not seen.
        """
        return State(copy.copy(self.clock), _bookmarked(self.content))

    @property
    def trims(self) -> bool:
        """Whether it can forget its newest tokens."""
        return all(content.trims for content in leaves(self.content))

    def trim(self, n: int | Tensor) -> None:
        """Forgets the newest n tokens of every row; or as many of each as a tensor [B] says.

        Errors:
            GenerationError: some content can't (a ring overwrites what left its window), or n is
                more than what was seen.
        """
        clock, fewest = self.clock, torch.as_tensor(n)
        after = clock.next - n
        if int(fewest.min()) < 0 or int(after.min()) < 0:
            shown = n if isinstance(n, int) else n.tolist()
            raise GenerationError(f"can't forget {shown} tokens of {clock.next.tolist()}")
        for content in leaves(self.content):
            if not content.trims:
                raise GenerationError(
                    f"{type(content).__name__} can't forget its newest tokens",
                    hint="keep a state.copy() and run the tokens again",
                )
        clock.next = after
        if isinstance(n, int):
            clock.used -= n
        else:
            clock.used = int(after.max())
            clock.even = clock.even and bool((after == after[0]).all())

    def reserve(self, room: int) -> None:
        """Makes room for so many tokens a row in all, without which contents grow as they must."""
        if self.clock.room is None or room > self.clock.room:
            self.clock.room, self.prepared = room, None
            for content in leaves(self.content):
                content.reserve(room)

    @property
    def nbytes(self) -> int:
        """Bytes that the contents hold."""
        tensors = [t for content in leaves(self.content) for _, t in content.tensors()]
        return sum(t.numel() * t.element_size() for t in tensors)

    def changed(self, change: Callable[[Tensor], Tensor]) -> State:
        """Another state, of what `change` makes of each tensor, whose first axis is the rows."""
        other = State(copy.copy(self.clock), _mapped(self.content, change))
        other.clock.next = change(self.clock.next)
        return other


def content_of(
    module: nn.Module, batch: int, room: int | None, dtype: torch.dtype, device: Any
) -> Any:
    """What `module` remembers: a list for a ModuleList, None where it has no `init_state`."""
    if isinstance(module, nn.ModuleList):
        return [content_of(part, batch, room, dtype, device) for part in module]
    init = getattr(module, "init_state", None)
    return None if init is None else init(batch, room, dtype, device)


def part_of(memory: Any, name: str | int, parts: int) -> Any:
    """What one of a module's parts remembers, given what all of them do: None of None.

    Errors:
        GenerationError: a memory of other parts, so of another model.
    """
    if memory is None:
        return None
    names: Any = memory if isinstance(memory, dict) else ()
    if isinstance(memory, list):
        names = range(len(memory))
    if len(names) != parts or name not in names:
        raise GenerationError(
            "the state is of a model with other layers",
            field="state",
            hint="make one with init_state(batch, room, dtype) of this very model",
        )
    found: Any = memory
    return found[name]


def leaves(tree: Any) -> Iterator[Content]:
    """Every content of a tree of them."""
    if isinstance(tree, Content):
        yield tree
    elif isinstance(tree, State):
        yield from leaves(tree.content)
    elif isinstance(tree, (dict, list)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(part)


def _bookmarked(tree: Any) -> Any:
    if isinstance(tree, Content) and tree.trims:
        return tree.changed(lambda tensor: tensor)
    if isinstance(tree, dict):
        return {name: _bookmarked(part) for name, part in tree.items()}
    if isinstance(tree, list):
        return [_bookmarked(part) for part in tree]
    return _mapped(tree, torch.clone)


def _mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(tree, Content | State):
        return tree.changed(change)
    if isinstance(tree, dict):
        return {name: _mapped(part, change) for name, part in tree.items()}
    if isinstance(tree, list):
        return [_mapped(part, change) for part in tree]
    return tree
