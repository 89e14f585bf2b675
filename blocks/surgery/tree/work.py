"""What a token costs in a block: counted FLOPs, and bytes of weights that are read for it.

Only shapes are looked at, so that a model is told without torch as well. Counted is what a
multiplication of matrices, an attention, a convolution or a recurrence takes: two FLOPs for each
number of a matrix, a multiplication and an addition. Norms, activations and other work on single
numbers are left out, as torch's own counter leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

__all__: list[str] = []

Formula = Callable[[Any, int, int], int]

# Blocks of which a token takes a row (of each table), which costs memory and no FLOPs.
TABLES = frozenset(
    "Embedding TokenEmbedding TypeEmbedding QueryEmbedding RepeatedEmbedding LearnedPositions "
    "AxialPositions ParameterList RelativeBias OneHot".split()
)
# Blocks whose own parameters meet single numbers, or are counted by a formula below.
LINEWISE = frozenset("QKNorm TypeRelation CausalConv RelativeAttention Mamba".split())
# Blocks that remember, and cost nothing but their matrices and what their parts do.
PLAIN = frozenset("RNN LSTM GRU RWKV RWKVChannelMix RGLRU TokenShift".split())
# Blocks that make more or fewer tokens of those they get, run once a text, or choose what they do
# by what they read.
UNTOLD = frozenset(
    "ByteLatentLM CharacterEncoder MegaByte FrameEncoder Handwriting AdaptiveEmbedding "
    "AdaptiveHead HashedEmbedding NGramEmbedding JoinedEmbedding EntropyPatches EqualPatches "
    "PatchEmbedding MediaTokens Molecules Conv1d Conv2d ConvPositions LSHAttention S4 S4D RTRBM "
    "SkipStack Attending AdditiveAttention InfiniAttention Pooler SequenceHead SentenceHead "
    "SpanSearchHead PretrainingHead MixtureDensityHead".split()
)


def _seen(mask: Any, seen: int) -> int:
    reach = mask.reach
    return seen if reach is None else min(seen, reach)


def _attention(block: Any, tokens: int, seen: int) -> int:
    values = getattr(block, "value_dim", block.head_dim)  # scores, and sums of values
    return 2 * tokens * _seen(block.mask, seen) * block.heads * (block.head_dim + values)


def _chunked(block: Any, tokens: int, seen: int) -> int:
    size, around = block.near.size, block.near.before + 1 + block.near.after
    near = seen if seen <= size else size * around
    return 4 * tokens * near * block.heads * block.head_dim


def _turned(block: Any, tokens: int, seen: int) -> int:
    return 4 * tokens * _seen(block.mask, seen) * block.dim


def _cross(block: Any, tokens: int, seen: int) -> int:
    return 4 * tokens * seen * block.heads * block.head_dim


def _latent(block: Any, tokens: int, seen: int) -> int:
    near, up = _seen(block.mask, seen), prod(block.kv_up.weight.shape)
    if tokens == 1:  # queries ask the latents
        return 2 * near * block.heads * (2 * block.kv_rank + block.rope_dim)
    each = block.nope_dim + block.rope_dim + block.value_dim
    return 2 * (near * up + tokens * near * block.heads * each) - 2 * tokens * up


def _windowed(block: Any, tokens: int, seen: int) -> int:
    near = seen if seen <= block.radius else 3 * block.radius  # its chunk, and one on either side
    return 4 * tokens * near * block.heads * block.head_dim


def _relative(block: Any, tokens: int, seen: int) -> int:
    e = _sizes(block.q)[0] // block.heads
    places = 2 * prod(_sizes(block.position))  # W r of every distance
    both = type(block.mask).__name__ not in ("Causal", "Window")
    distances = seen + (tokens - 1 if both else 0)
    types = 0 if block.relation is None else 4 * tokens * block.heads * e
    whole = 2 * tokens * block.heads * e * (2 * seen + distances)
    return whole + places * (distances - tokens) + types


def _conv(block: Any, tokens: int, seen: int) -> int:
    return 2 * tokens * prod(block.weight.shape)


def _sums(each: int, name: str = "sums") -> Formula:
    """So many FLOPs for each number of the memory: fading 1, writing 2, reading 2."""
    return lambda block, tokens, seen: each * tokens * prod(getattr(block, name))


# What a block does beside multiplying by matrices of its own and running its parts once a token.
FORMULAS: Mapping[str, Formula] = {
    "ChunkAttention": _chunked,
    "CircleAttention": _chunked,
    "GQAttention": _attention,
    "TurnedAttention": _turned,
    "CrossAttention": _cross,
    "LatentAttention": _latent,
    "LongformerAttention": _windowed,
    "RelativeAttention": _relative,
    "CausalConv": _conv,
    "Mamba": _sums(6),  # one for Δ A, of which it has as many
    "Mamba2": _sums(5),
    "GatedDeltaNet": _sums(7, "memory"),  # two for what the key finds
    "LinearAttention": _sums(5, "memory"),
}
# Parts that a new token doesn't run: global tokens alone, or the source, once.
IDLE = {
    "LongformerAttention": ("q_global", "k_global", "v_global"),
    "CrossAttention": ("k", "v", "norm"),
}


def own_flops(block: Any, tokens: int, seen: int) -> int | None:
    """What a block itself costs, without its parts; None where its parameters don't tell.

    A block of one's own may say it: a method `flops(tokens, seen)`.

    Args:
        block: a module.
        tokens: how many new ones it gets.
        seen: how many they see in all, themselves among them.
    """
    if hasattr(type(block), "flops"):
        return block.flops(tokens, seen)
    names = _names(block)
    if names & UNTOLD:
        return None
    formula = next((FORMULAS[name] for name in FORMULAS if name in names), None)
    if formula is None and not _tells(block, names):
        return None
    if "PackedLinear" in names:
        return 2 * tokens * block.dim * block.out_dim
    work = 0 if formula is None else formula(block, tokens, seen)
    if names & (TABLES | LINEWISE):
        return work
    return work + 2 * tokens * sum(prod(p.shape) for p in _own(block) if len(p.shape) > 1)


def own_bytes(block: Any, width: Callable[[str, Any], int]) -> int:
    """Bytes of its own weights that a block reads for one token.

    Args:
        block: a module.
        width: of a parameter's name and itself, the bytes of one number.
    """
    rows = bool(_names(block) & TABLES)
    read = 0
    for name, tensor in (block._parameters | block._buffers).items():
        if tensor is not None and name not in block._non_persistent_buffers_set:
            shape = tensor.shape[1:] if rows and len(tensor.shape) > 1 else tensor.shape
            read += prod(shape) * width(name, tensor)
    return read


def share(blocks: Sequence[Any], part: str) -> tuple[int, int]:
    """How many of how many such parts of wrapped blocks a token runs: experts k of X."""
    for block in blocks:
        names = _names(block)
        if "MoE" in names and part.startswith("experts."):
            return chosen(block), len(block.experts._modules)
        if any(name in names and part in IDLE[name] for name in IDLE):
            return 0, 1
    return 1, 1


def added(one: int | None, other: int | None, few: int = 1, many: int = 1) -> int | None:
    """The sum, of which `other` comes by its share; what can't be told makes it untold."""
    if one is None or other is None:
        return None
    return one + other * few // many


def chosen(moe: Any) -> int:
    """How many experts a token goes to."""
    return getattr(moe.router, "top_k", 2)  # a sparse mixer chooses two


def _names(block: Any) -> set[str]:
    return {kind.__name__ for kind in type(block).__mro__}


def _sizes(matrix: Any) -> tuple[int, ...]:
    packed = "PackedLinear" in _names(matrix)
    return (matrix.out_dim, matrix.dim) if packed else tuple(matrix.weight.shape)


def _own(block: Any) -> list[Any]:
    return [p for n, p in block._parameters.items() if p is not None and n != "bias"]


def _tells(block: Any, names: set[str]) -> bool:
    """Whether the matrices are all: a block that remembers does more, wiring aside."""
    wiring = type(block).__module__.startswith(("blocks.wiring", "blocks.models"))
    return wiring or bool(names & PLAIN) or not hasattr(block, "init_state")
