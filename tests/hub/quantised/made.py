"""Matrices by the definition of a format: numbers drawn, packed bit by bit, and their meaning."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

Tensors = dict[str, Tensor]
# (tensors by suffix of the module's name, the matrix in float32); None where it can't be stored so
Made = tuple[Tensors, np.ndarray] | None
GROUP = 8
FOURS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0]


def words(rows: np.ndarray, bits: int) -> np.ndarray:
    """Each row as one long number, the first of its numbers in the lowest bits."""
    count = -(-rows.shape[1] * bits // 32)
    found = []
    for row in rows.tolist():
        whole = sum(value << (bits * n) for n, value in enumerate(row))
        found.append(np.frombuffer(whole.to_bytes(4 * count, "little"), "<i4"))
    return np.stack(found)


def eight(byte: int) -> float:
    """A float of 4 bits of exponent and 3 of mantissa."""
    sign, power, rest = (-1) ** (byte >> 7), byte >> 3 & 15, byte & 7
    return sign * (rest * 2.0**-9 if power == 0 else (1 + rest / 8) * 2.0 ** (power - 7))


EIGHTS = np.array([eight(byte) for byte in range(256)], np.float32)


def draw_eights(draw: np.random.Generator, shape: tuple[int, ...], low: int = 0) -> np.ndarray:
    """Bytes of such floats, without those that are no numbers."""
    found = draw.integers(low, 256, shape).astype(np.uint8)
    found[found % 128 == 127] = 56
    return found


def as_eights(data: np.ndarray) -> Tensor:
    return torch.from_numpy(data).view(torch.float8_e4m3fn)


def factors(draw: np.random.Generator, *shape: int) -> np.ndarray:
    """Scales that half precision holds."""
    return draw.uniform(0.01, 0.05, shape).astype(np.float16).astype(np.float32)


def half(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).half()


def whole(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


def gptq(bits: int = 4, group: int = GROUP, *, less: int = 1, ordered: bool = False) -> Any:
    def make(draw: np.random.Generator, rows: int, columns: int) -> Made:
        if rows * bits % 32 or columns * bits % 32:
            return None
        size = columns if group == -1 else group
        groups, most = -(-columns // size), 2**bits
        q, z = draw.integers(0, most, (rows, columns)), draw.integers(0, most, (rows, groups))
        s = factors(draw, rows, groups)
        which = np.arange(columns) // size
        if ordered:
            which = which[draw.permutation(columns)]
        made = {
            ".qweight": whole(words(q, bits).T),
            ".qzeros": whole(words((z.T - less) % most, bits)),
            ".scales": half(s.T),
            ".g_idx": whole(which.astype(np.int32)),
        }
        return made, (q - z[:, which]).astype(np.float32) * s[:, which]

    return make


def awq(group: int = GROUP, *, by_row: bool = False) -> Any:
    def make(draw: np.random.Generator, rows: int, columns: int) -> Made:
        if rows % 8 or columns % group:
            return None
        groups = columns // group
        q, z = draw.integers(0, 16, (rows, columns)), draw.integers(0, 16, (rows, groups))
        s, which = factors(draw, rows, groups), np.arange(columns) // group
        plain = (q - z[:, which]).astype(np.float32) * s[:, which]
        if by_row:
            words_of_zeros = 4 * math.ceil(groups / 8 / 4)  # as groups of 32 have it
            wide = np.zeros((rows, words_of_zeros * 8), int)
            wide[:, :groups] = z
            scales = np.zeros(wide.shape, np.float32)
            scales[:, :groups] = s
            made = {".qweight": words(q, 4), ".qzeros": words(wide, 4), ".scales": scales}
        else:
            order = (np.arange(0, rows, 8)[:, None] + [0, 2, 4, 6, 1, 3, 5, 7]).ravel()
            made = {".qweight": words(q.T[:, order], 4), ".qzeros": words(z.T[:, order], 4)}
            made[".scales"] = s.T
        return {name: half(v) if name == ".scales" else whole(v) for name, v in made.items()}, plain

    return make


def bnb(kind: str = "nf4", *, double: bool = False, stored: torch.dtype = torch.uint8) -> Any:
    def make(draw: np.random.Generator, rows: int, columns: int) -> Made:
        count, block, second = rows * columns, 64, 256
        codes, table = draw.integers(0, 16, count), np.linspace(-1, 1, 16).astype(np.float32)
        blocks = -(-count // block)
        state: dict[str, Any] = {"quant_type": kind, "blocksize": block, "dtype": "float16"}
        state["shape"] = [rows, columns]
        made: Tensors = {}
        if double:
            small = draw.integers(0, 256, blocks)
            table2 = np.linspace(-1, 1, 256).astype(np.float32)
            outer, offset = factors(draw, -(-blocks // second)), np.float32(0.0625)
            absmax = table2[small] * np.repeat(outer, second)[:blocks] + offset
            made |= {".weight.absmax": whole(small.astype(np.uint8))}
            made |= {".weight.nested_absmax": whole(outer)}
            made |= {".weight.nested_quant_map": whole(table2)}
            state |= {"nested_blocksize": second, "nested_offset": float(offset)}
            state |= {"nested_dtype": "float32"}
        else:
            absmax = factors(draw, blocks) * 8
            made |= {".weight.absmax": whole(absmax)}
        pairs = np.pad(codes, (0, count % 2)).reshape(-1, 2)
        packed = whole((pairs[:, :1] * 16 + pairs[:, 1:]).astype(np.uint8))
        if packed.numel() % stored.itemsize:
            return None
        text = np.frombuffer(json.dumps(state).encode(), np.uint8).copy()
        made |= {
            ".weight": packed.flatten().view(stored)[:, None],
            ".weight.quant_map": whole(table),
        }
        made |= {f".weight.quant_state.bitsandbytes__{kind}": whole(text)}
        return made, (table[codes] * np.repeat(absmax, block)[:count]).reshape(rows, columns)

    return make


def int8(draw: np.random.Generator, rows: int, columns: int) -> Made:
    q = draw.integers(-127, 128, (rows, columns)).astype(np.int8)
    scb = factors(draw, rows) * 20
    made = {".weight": whole(q), ".SCB": whole(scb)}
    made |= {".weight_format": torch.tensor(0, dtype=torch.uint8)}
    return made, q.astype(np.float32) * scb[:, None] * np.float32(1 / 127)


def packed(bits: int = 4, *, zeros: bool = False, ordered: bool = False, per: Any = GROUP) -> Any:
    def make(draw: np.random.Generator, rows: int, columns: int) -> Made:
        size = per if isinstance(per, int) else columns
        if columns % size:
            return None
        groups, more = columns // size, 2 ** (bits - 1)
        q = draw.integers(-more, more, (rows, columns))
        s = factors(draw, 1 if per == "tensor" else rows, groups)
        z = draw.integers(-more, more, (rows, groups)) if zeros else np.zeros((rows, groups), int)
        which = np.arange(columns) // size
        if ordered:
            which = which[draw.permutation(columns)]
        made = {
            ".weight_packed": whole(words(q + more, bits)),
            ".weight_scale": torch.from_numpy(s).bfloat16(),
            ".weight_shape": torch.tensor([rows, columns]),
        }
        if zeros:
            made[".weight_zero_point"] = whole(words((z + more).T, bits).T)
        if ordered:
            made[".weight_g_idx"] = whole(which.astype(np.int32))
        s = made[".weight_scale"].float().numpy()
        return made, (q - z[:, which]).astype(np.float32) * s[:, which]

    return make


def scaled(kind: str, block: tuple[Any, Any], end: str = "_scale", *, zeros: bool = False) -> Any:
    """Numbers of 8 bits; the sizes of a block of which None is all."""

    def make(draw: np.random.Generator, rows: int, columns: int) -> Made:
        high, wide = block[0] or rows, block[1] or columns
        blocks = (-(-rows // high), -(-columns // wide))
        at = np.arange(rows)[:, None] // high, np.arange(columns) // wide
        s = factors(draw, *blocks) / 50
        z = draw.integers(-9, 9, blocks).astype(np.int8)
        if kind == "int8":
            q = draw.integers(-128, 128, (rows, columns)).astype(np.int8)
            weight, values = whole(q), q.astype(np.float32)
        else:
            data = draw_eights(draw, (rows, columns))
            weight, values = as_eights(data), EIGHTS[data]
        scale = whole(s) if block != (None, None) else torch.tensor(float(s[0, 0]))
        made = {".weight": weight, f".weight{end}": scale}
        if zeros:
            made[".weight_zero_point"] = whole(z)
            values = values - z.astype(np.float32)[at]
        return made, values * s[at]

    return make


def fours(draw: np.random.Generator, rows: int, columns: int) -> tuple[Tensor, np.ndarray]:
    codes = draw.integers(0, 16, (rows, columns))
    bytes_ = (codes[:, ::2] + 16 * codes[:, 1::2]).astype(np.uint8)
    return whole(bytes_), np.array(FOURS, np.float32)[codes]


def mxfp4(draw: np.random.Generator, rows: int, columns: int) -> Made:
    if columns % 32:
        return None
    data, values = fours(draw, rows, columns)
    powers = draw.integers(119, 123, (rows, columns // 32)).astype(np.uint8)
    made = {".weight_packed": data, ".weight_scale": whole(powers)}
    return made, values * np.repeat(2.0 ** (powers.astype(np.float32) - 127), 32, 1)


def nvfp4(*, inverse: bool) -> Any:
    def make(draw: np.random.Generator, rows: int, columns: int) -> Made:
        if columns % 16:
            return None
        data, values = fours(draw, rows, columns)
        small = draw.integers(40, 80, (rows, columns // 16)).astype(np.uint8)
        s = EIGHTS[small]
        g = np.float32(37.5) if inverse else np.float32(0.0273)
        ends = ("_packed", "_global_scale") if inverse else ("", "_scale_2")
        made = {f".weight{ends[0]}": data, ".weight_scale": as_eights(small)}
        made[f".weight{ends[1]}"] = torch.tensor([g]) if inverse else torch.tensor(float(g))
        factor = s / g if inverse else s * g
        return made, values * np.repeat(factor, 16, 1)

    return make
