"""Quantised storage read as the floats it stands for: fp8 in blocks, and MXFP4."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.hub.config import Config
from blocks.hub.keys import FLOATS, Rule, Shape, Stack

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

_BLOCK = 128  # rows and columns of fp8 that share a scale
_GROUP = 32  # values of MXFP4 that share a scale, two a byte
_FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # and the same below zero


@dataclass(frozen=True)
class BlockFp8(Rule):
    """A matrix of 8-bit floats (E4M3) and, beside it, a factor for each 128 × 128 block.

    DeepSeek-AI, "DeepSeek-V3", 2024, arXiv:2412.19437, section 3.3.
    """

    def beside(self, theirs: str) -> tuple[str, ...]:
        return (f"{theirs}_scale_inv",)

    def forms(self, ours: Sequence[Shape]) -> tuple[tuple[Shape, tuple[str, ...]], ...]:
        blocks = tuple(-(-size // _BLOCK) for size in ours[0])
        return ((self.shape(ours), ("F8_E4M3",)), (blocks, FLOATS))

    def whole(self, theirs: Sequence[Tensor]) -> Tensor:
        return from_fp8(*theirs)


@dataclass(frozen=True)
class Mxfp4(Stack):
    """All experts' matrices in 4-bit floats (E2M1), two a byte, the earlier in the lower half, and
    beside them for each 32 values a power of two (E8M0).

    Rouhani et al., "Microscaling data formats for deep learning", 2023, arXiv:2310.10537.
    """

    def beside(self, theirs: str) -> tuple[str, ...]:
        return (theirs.removesuffix("_blocks") + "_scales",)

    def shape(self, ours: Sequence[Shape]) -> Shape:
        experts, rows, columns = super().shape(ours)
        return (experts, rows, -(-columns // _GROUP), _GROUP // 2)

    def forms(self, ours: Sequence[Shape]) -> tuple[tuple[Shape, tuple[str, ...]], ...]:
        shape = self.shape(ours)
        return ((shape, ("U8",)), (shape[:-1], ("U8",)))

    def whole(self, theirs: Sequence[Tensor]) -> Tensor:
        return from_mxfp4(*theirs)

    def load(self, theirs: Tensor, ours: Sequence[Shape]) -> list[Tensor]:
        return super().load(theirs[..., : ours[0][1]], ours)  # a last group may be filled up


def fp8(pairs: Iterable[tuple[str, str]]) -> tuple[BlockFp8, ...]:
    """For each rename of weights, the rule that reads the same weight from fp8."""
    return tuple(
        BlockFp8(theirs.replace("{w}", "weight"), (ours.replace("{w}", "weight"),))
        for theirs, ours in pairs
    )


def from_fp8(values: Tensor, scales: Tensor) -> Tensor:
    """Values [R C] times the scale [R/128 C/128] of their block, in float32."""
    import torch

    each = scales.to(torch.float32).repeat_interleave(_BLOCK, 0).repeat_interleave(_BLOCK, 1)
    return values.to(torch.float32) * each[: values.shape[0], : values.shape[1]]


def from_mxfp4(blocks: Tensor, scales: Tensor) -> Tensor:
    """Bytes [X R G 16] and exponents [X R G], 127 more than meant, as bfloat16 [X R G·32]: exact.

    Bfloat16 reaches as far as these exponents do and has more digits than these values.
    """
    import torch

    one = torch.tensor([*_FP4, *(-value for value in _FP4)], device=blocks.device)
    byte = torch.arange(256, device=blocks.device)
    pairs = torch.stack([one[byte % 16], one[byte // 16]], -1).bfloat16()  # 256 2
    # 2^(s − 127) is the float32 whose exponent bits are s; s = 0 lies below those.
    powers = torch.where(scales == 0, 1 << 22, scales.int() << 23).int().view(torch.float32)
    found = blocks.new_empty((*blocks.shape[:2], blocks[0, 0].numel() * 2), dtype=torch.bfloat16)
    for i in range(len(blocks)):  # one expert at a time: indices take 16 times the bytes
        values = pairs[blocks[i].int()].flatten(-2)  # R G 32
        found[i] = (values * powers[i, ..., None].bfloat16()).flatten(-2)
    return found


def read_fp8(c: Config) -> None:
    """Reads a `quantization_config` of fp8 blocks, which the tensors themselves say as well."""
    inner = c.inner("quantization_config")
    if inner is not None:
        _check_method(inner, "fp8")
        inner.only("fmt", "e4m3", "float8_e4m3fn")
        inner.only("weight_block_size", [_BLOCK, _BLOCK])
        # How activations are rounded where a chip multiplies fp8, and what was left as it was.
        for name in ("activation_scheme", "scale_fmt"):
            inner.take(name, str, None)
        inner.take("modules_to_not_convert", tuple[str, ...], None, aliases=("ignored_layers",))


def read_mxfp4(c: Config) -> None:
    """Reads a `quantization_config` of MXFP4."""
    inner = c.inner("quantization_config")
    if inner is not None:
        _check_method(inner, "mxfp4")
        inner.take("modules_to_not_convert", tuple[str, ...], None)


def _check_method(inner: Config, known: str) -> None:
    method = inner.take("quant_method", str)
    if method != known:
        raise inner.error("quant_method", f"{method!r} can't be read; {known!r} can")
