"""Recurrent layers, one token after another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tests.twins.facts import Facts
from tests.twins.mlps import ACTIVATIONS, Params, Part, linear, sigmoid, under

Carry = list[Tensor]  # what goes from one token to the next
Cell = Callable[[Params, str, Tensor, Carry], Carry]


def told(p: Params, name: str, place: str, gate: int, gates: int, v: Tensor) -> Tensor:
    """What one of the gates is told: its rows of W v + b, of `weight_ih_l0` and so on."""
    size = len(p[f"weight_{name}_{place}"]) // gates
    rows = slice(gate * size, (gate + 1) * size)
    y = (p[f"weight_{name}_{place}"][rows] * v).sum(-1)
    bias = p.get(f"bias_{name}_{place}")
    return y if bias is None else y + bias[rows]


def rnn_cell(act: str) -> Cell:
    def one(p: Params, place: str, x: Tensor, carry: Carry) -> Carry:
        both = told(p, "ih", place, 0, 1, x) + told(p, "hh", place, 0, 1, carry[0])
        return [ACTIVATIONS[act](both)]

    return one


def gru_cell(reset: str) -> Cell:
    def one(p: Params, place: str, x: Tensor, carry: Carry) -> Carry:
        [h] = carry
        r, z = (
            sigmoid(told(p, "ih", place, g, 3, x) + told(p, "hh", place, g, 3, h)) for g in (0, 1)
        )
        new = told(p, "ih", place, 2, 3, x)
        if reset == "after":
            n = torch.tanh(new + r * told(p, "hh", place, 2, 3, h))
        else:
            n = torch.tanh(new + told(p, "hh", place, 2, 3, r * h))
        return [(1 - z) * n + z * h]

    return one


def lstm_cell(peepholes: bool) -> Cell:
    def one(p: Params, place: str, x: Tensor, carry: Carry) -> Carry:
        h, c = carry
        i, f, g, o = (
            told(p, "ih", place, n, 4, x) + told(p, "hh", place, n, 4, h) for n in range(4)
        )
        seen = p[f"peephole_{place}"] if peepholes else torch.zeros(3, len(h), dtype=h.dtype)
        i, f = sigmoid(i + seen[0] * c), sigmoid(f + seen[1] * c)
        c = f * c + i * torch.tanh(g)
        o = sigmoid(o + seen[2] * c)
        return [o * torch.tanh(c), c]

    return one


def stacked(
    p: Params,
    x: Tensor,
    cell: Cell,
    parts: int,
    hidden: int | None = None,
    depth: int = 1,
    direction: str = "forward",
    bias: bool = True,
    carry: Carry | None = None,
) -> Tensor:
    """Layers of cells. `carry` has what they begin with, and then what they end with."""
    ways = ["", "_reverse"] if direction == "both" else [""]
    hidden = hidden or x.shape[-1] // len(ways)
    begin = torch.zeros(parts, depth, hidden, dtype=x.dtype)
    if carry is not None:
        begin = torch.cat([part.flatten() for part in carry]).view(parts, depth, hidden)
    ends = []
    for layer in range(depth):
        sides = []
        for way in ways:
            back = way == "_reverse" or direction == "backward"
            now, said = list(begin[:, layer]), {}
            for t in sorted(range(len(x)), reverse=back):
                now = cell(p, f"l{layer}{way}", x[t], now)
                said[t] = now[0]
            sides.append(torch.stack([said[t] for t in range(len(x))]))
            ends.append(now)
        x = torch.cat(sides, -1)
    if carry is not None:
        carry[:] = [torch.stack(each) for each in zip(*ends, strict=True)]
    return x


def rnn(
    p: Params, x: Tensor, *, act: str = "tanh", carry: Carry | None = None, **rest: Any
) -> Tensor:
    return stacked(p, x, rnn_cell(act), 1, carry=carry, **rest)


def gru(
    p: Params, x: Tensor, *, reset: str = "after", carry: Carry | None = None, **rest: Any
) -> Tensor:
    return stacked(p, x, gru_cell(reset), 1, carry=carry, **rest)


def lstm(
    p: Params, x: Tensor, *, peepholes: bool = False, carry: Carry | None = None, **rest: Any
) -> Tensor:
    return stacked(p, x, lstm_cell(peepholes), 2, carry=carry, **rest)


def handed(p: Params, x: Tensor, facts: Facts, *, inner: Part) -> Tensor:
    """What is handed over stands at the first place of the memory, one number after another."""
    assert facts.memory is not None
    return inner(p, x, facts=facts, carry=[facts.memory[0]])


def attending(
    p: Params, x: Tensor, facts: Facts, *, inner: Part, attention: Part, reads: int | None = None
) -> Tensor:
    m, own = facts.memory, under(p, "inner")
    assert m is not None
    s = [torch.tanh(linear(p, "begin", m[0, m.shape[1] // 2 :]))]
    kept = len(own["weight_ih_l0"]) == 4 * len(s[0])  # an LSTM has a cell besides
    carry = [s[0], torch.zeros_like(s[0])] if kept else [s[0]]
    look = partial(attention, under(p, "attention"), facts=facts, dim=len(s[0]))
    said = []
    for t in range(len(x)):
        c = look(torch.stack(s))[-1]
        said.append(torch.cat([s[-1], x[t], c]))
        s.append(inner(own, torch.cat([x[t], c])[None], carry=carry)[0])
    return torch.stack(said)


def skip_stack(
    p: Params,
    x: Tensor,
    facts: Facts,
    *,
    inner: Part,
    depth: int = 1,
    attention: Part | None = None,
    reads: int | None = None,
) -> Tensor:
    first = under(p, "layers.0")
    if attention is None:
        said = [inner(first, x, facts=facts)]
    else:
        assert facts.memory is not None
        hidden = first["weight_hh_l0"].shape[1]
        parts = len(first["weight_ih_l0"]) // hidden == 4
        carry = [torch.zeros(hidden, dtype=x.dtype)] * (2 if parts else 1)
        look = partial(attention, under(p, "attention"), facts=facts, dim=hidden)
        w, h, seen = torch.zeros(facts.memory.shape[1], dtype=x.dtype), [], []
        for t in range(len(x)):
            h.append(inner(first, torch.cat([x[t], w])[None], carry=carry)[0])
            w = look(torch.stack(h))[-1]
            seen.append(w)
        said, x = [torch.stack(h)], torch.cat([x, torch.stack(seen)], -1)
    for n in range(1, depth):
        said.append(inner(under(p, f"layers.{n}"), torch.cat([x, said[-1]], -1), facts=facts))
    return torch.cat(said, -1)


def rtrbm(p: Params, x: Tensor, *, hidden: int | None = None) -> Tensor:
    c, found = p["first"], []
    for v in x:
        r = sigmoid((p["weight"] * v).sum(-1) + c)
        c = (p["recurrent.weight"] * r).sum(-1) + p["recurrent.bias"]
        found.append(r)
    return torch.stack(found)


def rglru(p: Params, x: Tensor, facts: Facts, *, heads: int) -> Tensor:
    """With a = σ(−decay), as section 2.4 of the paper has it."""
    size = x.shape[-1] // heads

    def gate(name: str, v: Tensor) -> Tensor:
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        mixed = [
            (v[n * size : (n + 1) * size, None] * weight[n]).sum(0) + bias[n] for n in range(heads)
        ]
        return sigmoid(torch.cat(mixed))

    h, found = torch.zeros_like(x[0]), []
    for t, v in zip(facts.positions, x, strict=True):
        a = sigmoid(-p["decay"]) ** (8 * gate("decay_gate", v))
        seen = gate("input_gate", v) * v
        h = seen if t == 0 else a * h + (1 - a * a).sqrt() * seen
        found.append(h)
    return torch.stack(found)
