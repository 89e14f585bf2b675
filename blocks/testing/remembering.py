"""Promises of blocks that look at other tokens: padding, order, memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from blocks.errors import GenerationError
from blocks.ops.wants import wants
from blocks.state import State
from blocks.testing.subject import EXACT, Subject, proceed, run, token_axis


def check_padding(subject: Subject) -> None:
    """Real tokens come out as they do alone, wherever padding lies and whatever it holds."""
    module, inputs = subject.exact
    axis = token_axis(inputs[0])
    for where, mask in _paddings(len(inputs[0]), inputs[0].shape[axis]).items():
        out = run(module, [_littered(x, mask) for x in inputs], mask)
        for row, real in enumerate(mask):
            alone = run(
                module, [x[row : row + 1].index_select(axis, _places(real)) for x in inputs]
            )
            found = tuple(_of_row(y, row, real, axis) for y in out)
            subject.differs(f"{where}, row {row}", found, alone, EXACT)
        finite = all(bool(y.isfinite().all()) for y in out if y.is_floating_point())
        assert finite, f"{subject.name}: {where}: not finite"


def _of_row(y: Tensor, row: int, real: Tensor, axis: int) -> Tensor:
    """The answers to the real tokens of a row, or its one answer where there is no other."""
    own = y[row : row + 1]
    each = y.dim() > axis and y.shape[axis] == len(real)
    return own.index_select(axis, _places(real)) if each else own


def check_causal(subject: Subject) -> None:
    """The gradient of every output to every later input is exactly zero."""
    module, (x, *rest) = subject.exact
    module.requires_grad_(False)
    axis = token_axis(x)
    for t in range(x.shape[axis] - 1):
        later = torch.arange(t + 1, x.shape[axis])
        if x.is_floating_point():
            leaf = x.clone().requires_grad_()
            out = [y.narrow(axis, 0, t + 1) for y in run(module, [leaf, *rest])]
            total = torch.stack([(y * torch.randn_like(y)).sum() for y in out]).sum()
            (grad,) = torch.autograd.grad(total, leaf)
            most = float(grad.index_select(axis, later).abs().amax())
        else:
            other = x.index_copy(axis, later, x.index_select(axis, later).roll(1, 0))
            pairs = zip(run(module, [x, *rest]), run(module, [other, *rest]), strict=True)
            near = ((a.double(), b.double().narrow(axis, 0, t + 1)) for a, b in pairs)
            most = max(float((a.narrow(axis, 0, t + 1) - b).abs().amax()) for a, b in near)
        assert most == 0, f"{subject.name}: outputs up to {t} depend on later tokens ({most:.3g})"


def check_chunks(subject: Subject) -> None:
    """Prefill and decode, in any chunks, give what one pass gives."""
    module, (x,) = subject.exact
    (wanted,) = run(module, [x])
    tokens = x.shape[1]
    for room in (None, tokens):
        for chunks in ([tokens], [tokens - 2, 1, 1], [1] * tokens, [2, tokens - 3, 1]):
            state = _state(module, len(x), room)
            parts = [proceed(module, part, state) for part in x.split(chunks, 1)]
            promise = f"chunks of {chunks} tokens and one pass, room {room}"
            subject.differs(promise, (torch.cat(parts, 1),), (wanted,), EXACT)


def check_ragged(subject: Subject) -> None:
    """A token that isn't real leaves the state as it was, in whatever chunk it comes."""
    module, (x,) = subject.exact
    tokens = x.shape[1]
    for where, mask in _paddings(len(x), tokens).items():
        for chunks in ([tokens], [tokens - 2, 1, 1], [1, 2, tokens - 3]):
            state = _state(module, len(x), tokens)
            pieces = zip(_littered(x, mask).split(chunks, 1), mask.split(chunks, 1), strict=True)
            out = torch.cat([proceed(module, part, state, real) for part, real in pieces], 1)
            for row, real in enumerate(mask):
                (alone,) = run(module, [x[row : row + 1, real]])
                promise = f"{where} in chunks of {chunks}, row {row}"
                subject.differs(promise, (out[row : row + 1, real],), (alone,), EXACT)


def check_state(subject: Subject) -> None:
    """A state is copied, its rows are selected, its newest tokens are forgotten."""
    module, (x,) = subject.exact
    (wanted,) = run(module, [x])
    head, tail = x[:, :-2], x[:, -2:]
    for room in (None, x.shape[1]):
        state = _state(module, len(x), room)
        proceed(module, head, state)
        copied = state.copy()
        rows = torch.tensor([len(x) - 1, 0, 0])
        chosen = state.select(rows)
        found = proceed(module, tail[rows], chosen)
        subject.differs("selected rows", (found,), (wanted[rows, -2:],), EXACT)
        found = proceed(module, tail, state)
        subject.differs("a state after select and copy", (found,), (wanted[:, -2:],), EXACT)
        found = proceed(module, tail, copied)
        subject.differs("a copied state", (found,), (wanted[:, -2:],), EXACT)
        try:
            state.trim(2)
        except GenerationError:
            continue  # a ring, for instance: it has overwritten what it would need
        found = proceed(module, tail, state)
        subject.differs("a trimmed state", (found,), (wanted[:, -2:],), EXACT)


REMEMBERING = {
    "run in chunks": check_chunks,
    "run in chunks with padding": check_ragged,
    "given a changed state": check_state,
}


def _state(module: nn.Module, batch: int, room: int | None) -> State:
    if "mask" in wants(module):  # a model makes its own
        return module.init_state(batch, room, torch.float64)  # pyright: ignore[reportCallIssue]
    return State.of(module, batch, room, torch.float64)


def _places(real: Tensor) -> Tensor:
    return real.nonzero().flatten()


def _littered(x: Tensor, mask: Tensor) -> Tensor:
    """`x` with something loud where nothing is real."""
    axis = token_axis(x)
    shape = [1] * x.dim()
    shape[0], shape[axis] = mask.shape
    noise = x.roll(1, axis) if not x.is_floating_point() else torch.randn_like(x) * 100
    return torch.where(mask.view(shape), x, noise)


def _paddings(rows: int, tokens: int) -> dict[str, Tensor]:
    """Masks [B T] that leave each row at least one token."""
    column = torch.arange(tokens)[None]
    lost = torch.tensor([_lost(row, tokens) for row in range(rows)])[:, None]
    return {
        "left padding": column >= lost,
        "right padding": column < tokens - lost,
        "padding between": (column + torch.arange(rows)[:, None]) % 3 != 0,
    }


def _lost(row: int, tokens: int) -> int:
    return (row * 3) % (tokens - 1)
