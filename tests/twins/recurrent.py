"""Recurrent layers, one token of one text after another."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tests.twins.mlps import ACTIVATIONS, Params, sigmoid
from tests.twins.rows import by_text

Cell = Callable[[Params, str, Tensor, list[Tensor]], list[Tensor]]


def told(p: Params, name: str, place: str, gate: int, gates: int, v: Tensor) -> Tensor:
    """What one of the gates is told: its rows of W v + b, of `weight_ih_l0` and so on."""
    size = len(p[f"weight_{name}_{place}"]) // gates
    rows = slice(gate * size, (gate + 1) * size)
    y = (p[f"weight_{name}_{place}"][rows] * v).sum(-1)
    bias = p.get(f"bias_{name}_{place}")
    return y if bias is None else y + bias[rows]


def rnn_cell(act: str = "tanh") -> Cell:
    def one(p: Params, place: str, x: Tensor, carry: list[Tensor]) -> list[Tensor]:
        both = told(p, "ih", place, 0, 1, x) + told(p, "hh", place, 0, 1, carry[0])
        return [ACTIVATIONS[act](both)]

    return one


def gru_cell(reset: str = "after") -> Cell:
    def one(p: Params, place: str, x: Tensor, carry: list[Tensor]) -> list[Tensor]:
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


def lstm_cell(peepholes: bool = False) -> Cell:
    def one(p: Params, place: str, x: Tensor, carry: list[Tensor]) -> list[Tensor]:
        h, c = carry
        i, f, g, o = (told(p, "ih", place, n, 4, x) + told(p, "hh", place, n, 4, h) for n in range(4))
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
    *,
    hidden: int | None,
    depth: int = 1,
    direction: str = "forward",
    real: Tensor | None = None,
    segments: Tensor | None = None,
    start: list[Tensor] | None = None,
) -> Tensor:
    """Layers of cells that carry so many vectors; `start` [B depth H] each is what they begin with."""
    ways = ["", "_reverse"] if direction == "both" else [""]
    hidden = hidden or x.shape[-1] // len(ways)
    for layer in range(depth):
        found = []
        for way in ways:
            back = way == "_reverse" or direction == "backward"

            def read(text: Tensor, b: int, way: str = way, back: bool = back) -> Tensor:
                carry = [
                    torch.zeros(hidden, dtype=x.dtype) if start is None else start[n][b, layer]
                    for n in range(parts)
                ]
                said = {}
                for t in sorted(range(len(text)), reverse=back):
                    carry = cell(p, f"l{layer}{way}", text[t], carry)
                    said[t] = carry[0]
                return torch.stack([said[t] for t in range(len(text))])

            found.append(by_text(x, hidden, read, real, segments))
        x = torch.cat(found, -1)
    return x


def rnn(p: Params, x: Tensor, *, act: str = "tanh", **rest: object) -> Tensor:
    return stacked(p, x, rnn_cell(act), 1, **rest)


def gru(p: Params, x: Tensor, *, reset: str = "after", **rest: object) -> Tensor:
    return stacked(p, x, gru_cell(reset), 1, **rest)


def lstm(p: Params, x: Tensor, *, peepholes: bool = False, **rest: object) -> Tensor:
    return stacked(p, x, lstm_cell(peepholes), 2, **rest)


def rtrbm(
    p: Params,
    x: Tensor,
    *,
    real: Tensor | None = None,
    segments: Tensor | None = None,
    **_: object,
) -> Tensor:
    def read(text: Tensor, b: int) -> Tensor:
        c, found = p["first"], []
        for v in text:
            r = sigmoid((p["weight"] * v).sum(-1) + c)
            c = (p["recurrent.weight"] * r).sum(-1) + p["recurrent.bias"]
            found.append(r)
        return torch.stack(found)

    return by_text(x, len(p["first"]), read, real, segments)


def rglru(
    p: Params,
    x: Tensor,
    *,
    heads: int,
    real: Tensor | None = None,
    segments: Tensor | None = None,
) -> Tensor:
    """With a = σ(−decay), as section 2.4 of the paper has it."""
    size = x.shape[-1] // heads

    def gate(name: str, v: Tensor) -> Tensor:
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        mixed = [
            (v[n * size : (n + 1) * size, None] * weight[n]).sum(0) + bias[n] for n in range(heads)
        ]
        return sigmoid(torch.cat(mixed))

    def read(text: Tensor, b: int) -> Tensor:
        h, found = torch.zeros_like(text[0]), []
        for t, v in enumerate(text):
            a = sigmoid(-p["decay"]) ** (8 * gate("decay_gate", v))
            seen = gate("input_gate", v) * v
            h = seen if t == 0 else a * h + (1 - a * a).sqrt() * seen
            found.append(h)
        return torch.stack(found)

    return by_text(x, x.shape[-1], read, real, segments)
