"""A block beside its twin: how it is built, disturbed, called and compared."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial, wraps
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import blocks
from blocks import Mask, Scaling, Spec, SpecError, State, Step, addresses
from blocks.ops.wants import wants
from tests.twins.combine import MORE, Options, combined
from tests.twins.steps import cast, facts_of, padded, pieces, taken

Twin = Callable[..., Any]
DOUBLE, SINGLE = 1e-10, 1e-5  # how far off a block may be, relative to the largest value

# Rows, tokens and layout of a call. A twin is given each row's own tokens, so that padding and
# packed neighbours must change nothing.
CASES = (
    (2, 12, "plain"),
    (1, 1, "plain"),
    (3, 7, "left"),
    (2, 5, "plain"),
    (3, 7, "right"),
    (2, 9, "packed"),
    (3, 8, "between"),
)
STATE = (2, 9, (5, 1, 2, 1))


@dataclass(frozen=True)
class Entry:
    """How one block is compared with its twin.

    Attributes:
        twin: (parameters, *inputs of one row, facts=…, **options) -> output or outputs of that
            row, all in float64 and without a batch axis. It is given the facts, sizes and dropout
            only where it names them.
        grid: a few values of each size and option of the constructor; dropout has them anyway.
        inputs: (options, rows, tokens) -> what forward takes, batch first.
        known: (options, rows, tokens) -> further fields of the Step.
        allowed: whether a combination can be built.
        shortest: the shortest sequence that the block takes.
        longest: the longest that the grid's tables hold.
        layouts: those that the block takes.
        packs: whether it takes a packed row with these options; else it must refuse one.
        beside: which inputs are not of the tokens one by one.
        whole: whether an output, or which of them, is of the whole row, not of each token.
        alike: whether a state's output is that of one pass.
        double, single: how far off it may be in float64, and in float32.
        fix: (module, options) -> None, brings disturbed parameters back into their range.
    """

    twin: Twin
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    inputs: Callable[[Options, int, int], tuple[Tensor, ...]] | None = None
    known: Callable[[Options, int, int], dict[str, Any]] | None = None
    allowed: Callable[[Options], bool] = lambda options: True
    shortest: int = 1
    longest: int = 12
    layouts: tuple[str, ...] = ("plain", "left", "right", "between", "packed")
    packs: Callable[[Options], bool] = lambda options: True
    beside: tuple[int, ...] = ()
    whole: bool | tuple[bool, ...] = False
    alike: Callable[[Options], bool] = lambda options: True
    double: float = DOUBLE
    single: float = SINGLE
    fix: Callable[[nn.Module, Options], None] | None = None


def sequences(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    """x [B T D], which most blocks take."""
    return (torch.randn(rows, tokens, options["dim"]),)


def tokens_of(options: Options, rows: int, tokens: int) -> tuple[Tensor, ...]:
    """Tokens [B T] of the vocabulary."""
    return (torch.randint(options["vocab"], (rows, tokens)),)


def named(twin: Twin) -> set[str]:
    return set(inspect.signature(twin).parameters)


def given(twin: Twin, kind: Callable[..., Any], options: Options) -> Options:
    """What a twin is given of a constructor's arguments, in its own terms: all keywords."""
    star = [
        name
        for name, p in inspect.signature(kind).parameters.items()
        if name in named(twin) or (p.kind is p.KEYWORD_ONLY and name != "dropout")
    ]
    return {name: told(options[name]) for name in star if name in options}


def told(value: Any) -> Any:
    """An option as a twin has it: a twin in the place of each block, mask or scaling."""
    from tests.twins.table import ENTRIES, PLAIN

    if isinstance(value, type) and issubclass(value, nn.Module):
        value = Spec(value)
    if isinstance(value, Spec):
        kind: Any = value.func
        name = kind.__name__
        twin = ENTRIES[name].twin if name in ENTRIES else PLAIN[name]
        return _part(twin, given(twin, kind, dict(value.keywords)))
    if isinstance(value, Mask | Scaling) or (is_dataclass(value) and type(value).__name__ in PLAIN):
        options = {f.name: told(getattr(value, f.name)) for f in fields(value)}  # pyright: ignore[reportArgumentType]
        return partial(PLAIN[type(value).__name__], **options)
    if isinstance(value, Mapping):
        return {name: told(part) for name, part in value.items()}
    return tuple(map(told, value)) if isinstance(value, tuple) else value


def _part(twin: Twin, options: Options) -> Twin:
    """A twin in another's slot, which may always be told the facts and sizes."""

    @wraps(twin)
    def call(p: Any, *inputs: Any, **more: Any) -> Any:
        more = {name: value for name, value in more.items() if name in named(twin)}
        return twin(p, *inputs, **options, **more)

    return call


@dataclass(frozen=True)
class Pair:
    """One combination of options: the block in both precisions, and its twin with its numbers."""

    name: str
    entry: Entry
    options: Options
    modules: dict[torch.dtype, nn.Module]
    twin: Twin

    @classmethod
    def of(cls, name: str, entry: Entry, options: Options) -> Pair:
        kind = getattr(blocks, name)
        module = kind(**options).eval()
        disturb(module)
        if entry.fix is not None:
            entry.fix(module, options)
        modules = {torch.float32: module, torch.float64: copy.deepcopy(module).double()}
        p = {place: t.detach() for place, t in addresses(modules[torch.float64]).items()}
        return cls(name, entry, options, modules, partial(_told(entry, kind, options), p))

    def check(self, rows: int, tokens: int, layout: str) -> None:
        make = self.entry.inputs or sequences
        x = make(self.options, rows, tokens)
        step = self._step(rows, tokens, layout)
        wanted = list(self._wanted(x, step))
        forced = self.entry.known is not None or "step" in needed(self.modules[torch.float32])
        alone = layout == "plain" and tokens % 2 == 1 and not forced
        for dtype, module in self.modules.items():
            more = {} if "step" not in wants(module) or alone else {"step": cast(step, dtype)}
            with torch.no_grad():
                found = module(*[cast(t, dtype) for t in x], **more)
            self._compare(found, wanted, dtype, f"{rows} × {tokens}, {layout}")

    def check_state(self) -> None:
        """Prefill and further steps give what one pass of the twin gives."""
        rows, tokens, chunks = STATE
        (x,) = (self.entry.inputs or sequences)(self.options, rows, tokens)
        step = self._step(rows, tokens, "plain")
        wanted = list(self._wanted((x,), step))
        for dtype, module in self.modules.items():
            state = State.of(module, rows, None if len(self.options) % 2 else tokens, dtype)
            parts = []
            for part in cast(x, dtype).split(chunks, 1):
                now = state.begin(rows, part.shape[1])
                now.memory, now.memory_real = cast(step.memory, dtype), step.memory_real
                with torch.no_grad():
                    parts.append(module(part, now, state.content))
                state.end(now)
            self._compare(torch.cat(parts, 1), wanted, dtype, f"chunks of {chunks}")

    def _step(self, rows: int, tokens: int, layout: str) -> Step:
        positions = torch.arange(tokens).expand(rows, -1)
        more: dict[str, Any] = {}
        if layout == "packed":
            cut = tokens // 2
            more["segments"] = (positions >= cut).long()
            positions = torch.where(positions >= cut, positions - cut, positions)
        elif layout != "plain":
            more["real"] = real = padded(layout, rows, tokens)
            positions = (real.cumsum(1) - 1).clamp(min=0)
        if self.entry.known is not None:
            more |= self.entry.known(self.options, rows, tokens)
        return Step(positions, **more)

    def _wanted(self, x: Sequence[Tensor], step: Step) -> Iterator[tuple[int, Tensor, Any]]:
        """What the twin says of each sequence: its row, its places there, its outputs."""
        for row, at in pieces(step):
            beside = self.entry.beside
            mine = [t[row] if n in beside else taken(t, row, at) for n, t in enumerate(x)]
            mine = [cast(t, torch.float64) for t in mine]
            facts = facts_of(cast(step, torch.float64), row, at)
            more = {"facts": facts} if "facts" in named(self.entry.twin) else {}
            yield row, at, self.twin(*mine, **more)

    def _compare(self, found: Any, wanted: list[Any], dtype: torch.dtype, where: str) -> None:
        outputs = [found] if isinstance(found, Tensor) else list(found)
        whole = self.entry.whole
        whole = whole if isinstance(whole, tuple) else (whole,) * len(outputs)
        for n, output in enumerate(outputs):
            pairs = []
            for row, at, twin in wanted:
                right = twin if isinstance(twin, Tensor) else twin[n]
                mine = output[row] if whole[n] else taken(output, row, at)
                assert mine.shape == right.shape, f"{self}: {where}: {mine.shape}, {right.shape}"
                pairs.append((mine, right))
            most = max(float(right.double().abs().amax()) for _, right in pairs)
            off = max(distance(mine.double(), right.double()) for mine, right in pairs)
            kinds = {t.dtype for t in self.modules[dtype].parameters()} or {output.dtype}
            assert not output.is_floating_point() or output.dtype in kinds, f"{self}: {where}"
            figure = self.entry.double if dtype == torch.float64 else self.entry.single
            bound = figure * most if output.is_floating_point() else 0.0
            assert off <= bound, f"{self}: {where}: output {n} off by {off:.3g} of {most:.3g}"

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"


def distance(a: Tensor, b: Tensor) -> float:
    return float(torch.where(a == b, 0.0, (a - b).abs()).amax())


def _told(entry: Entry, kind: Any, options: Options) -> Twin:
    return partial(_late, entry.twin, given(entry.twin, kind, options))


def _late(twin: Twin, options: Options, p: Any, *inputs: Any, **facts: Any) -> Any:
    return twin(p, *inputs, **facts, **options)


def check_twin(name: str, entry: Entry, more: int = MORE) -> None:
    """Combinations of the entry's grid; all calls of the first, two of each other one."""
    grid, kind = dict(entry.grid), getattr(blocks, name)
    if "dropout" in inspect.signature(kind).parameters:
        grid.setdefault("dropout", (0.0, 0.5))
    told = "step" in inspect.signature(kind.forward).parameters
    every = [
        (rows, max(tokens, entry.shortest), layout)
        for rows, tokens, layout in CASES
        if layout in (entry.layouts if told else ("plain",)) and tokens <= entry.longest
    ]
    states = 0
    for n, options in enumerate(combined(grid, entry.allowed, name, more)):
        pair = Pair.of(name, entry, options)
        packs = "packed" in entry.layouts and entry.packs(options)
        cases = every if packs else [case for case in every if case[2] != "packed"]
        few = [cases[n % len(cases)], cases[(n + 3) % len(cases)]]
        for case in cases if n == 0 else few:
            pair.check(*case)
        if told and not packs:
            with pytest.raises(SpecError, match="packed"):
                pair.check(2, 9, "packed")
        remembers = hasattr(pair.modules[torch.float32], "init_state") and entry.alike(options)
        if remembers and states < 3:
            pair.check_state()
            states += 1


def disturb(module: nn.Module) -> None:
    """Other numbers in all parameters and buffers; a buffer that is above zero stays so."""
    with torch.no_grad():
        for tensor in module.parameters():
            if tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor), alpha=0.3)
        for tensor in module.buffers():
            if tensor.is_floating_point() and bool((tensor > 0).all()):
                tensor.mul_(torch.exp(torch.randn_like(tensor) / 3))
            elif tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor), alpha=0.3)


def needed(module: nn.Module) -> set[str]:
    forward = inspect.signature(type(module).forward).parameters.values()
    return {p.name for p in forward if p.default is p.empty}
