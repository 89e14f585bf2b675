"""Numbers of 8 bits, floats (E4M3) or whole ones, and a scale a tensor, an output, a group or a
block.

Micikevicius et al., "FP8 formats for deep learning", 2022, arXiv:2209.05433; DeepSeek-AI,
"DeepSeek-V3", 2024, arXiv:2412.19437, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from blocks.hub.config import Config
from blocks.hub.keys import Shape
from blocks.hub.quantised.bits import scaled
from blocks.hub.quantised.format import SCALES, Format, Part, many
from blocks.hub.quantised.storage import Storage
from blocks.hub.quantised.telling import harmless, read_plain

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

Block = tuple[int | None, int | None]
TENSOR: Block = (None, None)
CHANNEL: Block = (1, None)
_DEEPSEEK = (128, 128)


@dataclass(frozen=True)
class Scaled(Format):
    r"""w_{o,i} = s_{⌊o / r⌋, ⌊i / c⌋} · (q_{o,i} − z_{⌊o / r⌋, ⌊i / c⌋})

    Attributes:
        block: r and c, outputs and inputs that share a scale; None is all.
        kind: of the numbers q, as headers name it.
        method: in words.
    """

    block: Block
    kind: str = "F8_E4M3"
    method: str = "FP8"

    names: ClassVar[Mapping[str, str]] = {
        "weight": "{w}",
        "scale": "{w}_scale",
        "zero": "{w}_zero_point",
    }
    optional: ClassVar[frozenset[str]] = frozenset({"zero"})
    stacked: ClassVar[bool] = True

    @property
    def title(self) -> str:
        rows, columns = self.block
        share = f"blocks of {rows} × {columns}"
        if columns is None:
            share = "one scale a matrix" if rows is None else "one scale an output"
        elif rows == 1:
            share = f"groups of {columns}"
        return f"{self.method}, 8 bits, {share}"

    def _sizes(self, shape: Shape) -> tuple[int, int]:
        rows, columns = self.block
        return rows or shape[-2], columns or shape[-1]

    def parts(self, shape: Shape) -> dict[str, Part]:
        rows, columns = self._sizes(shape)
        scales = (*shape[:-2], many(shape[-2], rows), many(shape[-1], columns))
        return {
            "weight": Part(shape, (self.kind,)),
            "scale": Part(scales, SCALES),
            "zero": Part(scales, ("I8", *SCALES) if self.kind == "I8" else (self.kind, *SCALES)),
        }

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        import torch

        values = parts["weight"].to(torch.float32, copy=True)
        return scaled(values, parts["scale"], self._sizes(shape), parts.get("zero"))


@dataclass(frozen=True)
class ScaledFromZero(Scaled):
    """The same where no file may lack the zeros."""

    optional: ClassVar[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class ScaledInverse(Scaled):
    """The same, with scales by another name: they are multiplied with as well, despite it."""

    names: ClassVar[Mapping[str, str]] = {"weight": "{w}", "scale": "{w}_scale_inv"}
    optional: ClassVar[frozenset[str]] = frozenset()


def read_fp8(c: Config) -> Storage:
    """Reads a `quantization_config` of DeepSeek's fp8 blocks, or of one scale a matrix."""
    c.only("fmt", "e4m3", "float8_e4m3fn")
    c.only("expert_dtype", "fp8")
    sizes = c.take("weight_block_size", tuple[int, ...], None)
    if sizes is not None and (len(sizes) != 2 or min(sizes) < 1):
        raise c.error("weight_block_size", f"{list(sizes)} is not two sizes above zero")
    # How activations are rounded where a chip multiplies fp8, and what scales were rounded to.
    harmless(c, "activation_scheme", "dequantize", "modules_to_convert", "scale_fmt")
    plain = read_plain(c, "modules_to_not_convert", "ignored_layers")
    block = TENSOR if sizes is None else (sizes[0], sizes[1])
    # A config that is silent has DeepSeek's blocks where the scales have its name for them.
    inverse = block if "weight_block_size" in c.data else _DEEPSEEK
    forms = (ScaledInverse(inverse), Scaled(block))
    return Storage.of_all("fp8", *forms, plain=plain, where="modules_to_not_convert")


def read_fbgemm(c: Config) -> Storage:
    """Reads a `quantization_config` of FBGEMM, as Llama 3.1 405B has it."""
    harmless(c, "activation_scale_ub")  # how activations are rounded
    plain = read_plain(c, "modules_to_not_convert")
    return Storage.of_all(
        "fbgemm_fp8", Scaled(CHANNEL), plain=plain, where="modules_to_not_convert"
    )
