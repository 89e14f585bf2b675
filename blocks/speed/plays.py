"""What each kind of block writes on a tape."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any

from torch import nn

from blocks.attention.gq import GQAttention
from blocks.attention.mask import Causal, Window
from blocks.mlp.gated import GatedMLP
from blocks.mlp.plain import MLP
from blocks.models.causal import CausalLM
from blocks.norm.layer import LayerNorm
from blocks.norm.qk import QKNorm
from blocks.norm.rms import RMSNorm
from blocks.ops import native
from blocks.positions.rope import RoPE
from blocks.speed.tape import ACT, LOOK, MULTIPLY, NORM, TURN, Place, Play, Tape, Untaped
from blocks.wiring.chain import Chain
from blocks.wiring.packed import PackedLinear
from blocks.wiring.parallel import Parallel
from blocks.wiring.residual import Residual
from blocks.wiring.streamed import ACTS, Streamed


def tape_of(model: CausalLM) -> Tape | None:
    """The tape of a model, where the kernels are there and all of its layers can be played."""
    try:
        return None if native.obstacle() else Tape(model, PLAYS)
    except Untaped:
        return None


def _chain(tape: Tape, chain: Chain, x: Place, path: tuple[Any, ...]) -> Place:
    for name, part in chain.named_children():
        x = tape.play(part, x, (*path, name))
    return x


def _parallel(tape: Tape, parallel: Parallel, x: Place, path: tuple[Any, ...]) -> Place:
    if parallel.merge != "sum":
        raise Untaped(f"a {parallel.merge} of branches")
    first, *others = [tape.play(p, x, (*path, name)) for name, p in parallel.named_children()]
    for other in others:
        first = tape.add(first, other, (1.0, 1.0))
    return first


def _residual(tape: Tape, residual: Residual, x: Place, path: tuple[Any, ...]) -> Place:
    y = x if residual.norm_in is None else tape.play(residual.norm_in, x, ())
    y = tape.play(residual.inner, y, path)
    y = y if residual.norm_out is None else tape.play(residual.norm_out, y, ())
    y = tape.add(x, y, (residual.carry, residual.scale))
    return y if residual.norm_after is None else tape.play(residual.norm_after, y, ())


def _rms_norm(tape: Tape, norm: RMSNorm, x: Place, path: tuple[Any, ...]) -> Place:
    return _normed(tape, norm, x, norm.dim, -1)


def _layer_norm(tape: Tape, norm: LayerNorm, x: Place, path: tuple[Any, ...]) -> Place:
    return _normed(tape, norm, x, norm.dim, tape.tensor(norm, "bias"))


def _normed(tape: Tape, norm: RMSNorm | LayerNorm, x: Place, width: int, bias: int) -> Place:
    """Each `width` columns of x normed by themselves."""
    to, weight = tape.take(x.width), tape.tensor(norm, "weight")
    centred = int(isinstance(norm, LayerNorm))
    tape.put(NORM, x, to, width, centred, weight, bias, numbers=(norm.eps, norm.offset))
    return to


def _products(tape: Tape, x: Place, *parts: Any) -> list[Place]:
    """What some matrices make of x: those of a kind in one go."""
    found: list[Place] = []
    for bits, group in groupby(parts, _bits):
        some = list(group)
        for one in some:
            tape.watch(one)
        outs = [one.out_features if bits == 16 else one.out_dim for one in some]
        names = ("weight", "bias") if bits == 16 else ("packed", "scale", "bias")
        told: list[int] = []
        for out, one in zip(outs, some, strict=True):
            told += [out, *(tape.tensor(one, name) for name in names)]
        to = tape.take(sum(outs))
        tape.put(MULTIPLY, x, to, bits, len(some), *told)
        found += to.cut(*outs)
    return found


def _bits(matrix: nn.Module) -> int:
    if isinstance(matrix, PackedLinear) and matrix.quick:
        return matrix.bits
    if type(matrix) is Streamed:
        return 16  # or 32: as they come
    raise Untaped(f"a {type(matrix).__name__}")


def _attention(tape: Tape, block: GQAttention, x: Place, path: tuple[Any, ...]) -> Place:
    more = (block.values, block.gate, block.sinks, *block.scores)
    if any(part is not None for part in more) or type(block.mask) not in (Causal, Window):
        raise Untaped("an attention with more than its heads")
    q, k, v = _products(tape, x, block.q, block.k, block.v)
    for part in block.qk:
        tape.watch(part)
        if isinstance(part, RoPE):
            which, adjacent = tape.angles(part), int(part.pairing == "adjacent")
            for heads in (q, k):
                tape.put(TURN, heads, block.head_dim, part.dims, adjacent, which)
        elif isinstance(part, QKNorm) and part.over != "each" and part.q_gain is None:
            q, k = _headwise(tape, part.q, q), _headwise(tape, part.k, k)
        else:
            raise Untaped(type(part).__name__)
    to = tape.take(block.heads * block.value_dim)
    scale = 1 / math.sqrt(block.head_dim) if block.scale is None else block.scale
    tape.put(LOOK, q, k, v, to, tape.memory(path, block.mask.reach), numbers=(scale,))
    return _products(tape, to, block.out)[0]


def _headwise(tape: Tape, norm: Any, heads: Place) -> Place:
    if type(norm) not in (RMSNorm, LayerNorm):
        raise Untaped(type(norm).__name__)
    tape.watch(norm)
    bias = tape.tensor(norm, "bias") if isinstance(norm, LayerNorm) else -1
    return _normed(tape, norm, heads, norm.dim, bias)


def _mlp(tape: Tape, mlp: MLP, x: Place, path: tuple[Any, ...]) -> Place:
    (up,) = _products(tape, x, mlp.up)
    return _products(tape, _act(tape, mlp.act, up, up._replace(width=0)), mlp.down)[0]


def _gated_mlp(tape: Tape, mlp: GatedMLP, x: Place, path: tuple[Any, ...]) -> Place:
    gate, up = _products(tape, x, mlp.gate, mlp.up)
    return _products(tape, _act(tape, mlp.act, gate, up), mlp.down)[0]


def _act(tape: Tape, act: Any, x: Place, times: Place) -> Place:
    """act(x), or act(x) · times."""
    if act not in ACTS:
        raise Untaped("an activation of its own")
    to = tape.take(x.width)
    tape.put(ACT, x, times, to, ACTS[act])
    return to


PLAYS: dict[type, Play] = {
    Chain: _chain,
    Parallel: _parallel,
    Residual: _residual,
    RMSNorm: _rms_norm,
    LayerNorm: _layer_norm,
    GQAttention: _attention,
    MLP: _mlp,
    GatedMLP: _gated_mlp,
}
