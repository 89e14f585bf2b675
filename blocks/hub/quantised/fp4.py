"""4-bit floats (E2M1), two a byte, and a scale for each 32 (MXFP4) or 16 (NVFP4) of an output.

Rouhani et al., "Microscaling data formats for deep learning", 2023, arXiv:2310.10537; NVIDIA et
al., "Pretraining large language models with NVFP4", 2025, arXiv:2509.25149.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from blocks.hub.config import Config
from blocks.hub.keys import FLOATS, Shape
from blocks.hub.quantised.bits import fours, scaled
from blocks.hub.quantised.format import Format, Part, many
from blocks.hub.quantised.storage import Storage
from blocks.hub.quantised.telling import harmless, read_plain

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

_MX, _NV = 32, 16


@dataclass(frozen=True)
class Mxfp4(Format):
    r"""w_{o,i} = e_{o,i} · 2^(s_{o, ⌊i / 32⌋} − 127)

    e is one of 0, 0.5, 1, 1.5, 2, 3, 4, 6 and the same below zero, the earlier of two in the lower
    half of a byte. All experts' matrices lie in one tensor; a last group may be filled up.
    """

    names: ClassVar[Mapping[str, str]] = {"blocks": "{w}_blocks", "scales": "{w}_scales"}
    stacked: ClassVar[bool] = True
    turned: ClassVar[bool] = True

    @property
    def title(self) -> str:
        return f"MXFP4, 4 bits, groups of {_MX}"

    def parts(self, shape: Shape) -> dict[str, Part]:
        groups = (*shape[:-1], many(shape[-1], _MX))
        return {"blocks": Part((*groups, _MX // 2), ("U8",)), "scales": Part(groups, ("U8",))}

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        return from_mxfp4(parts["blocks"], parts["scales"])[..., : shape[-1]]


@dataclass(frozen=True)
class Mxfp4Packed(Format):
    """The same of one matrix, as compressed-tensors names and shapes it."""

    names: ClassVar[Mapping[str, str]] = {"packed": "{w}_packed", "scale": "{w}_scale"}

    @property
    def title(self) -> str:
        return f"compressed-tensors MXFP4, 4 bits, groups of {_MX}"

    def wrong(self, shape: Shape) -> str | None:
        return _undivided(shape[1], _MX)

    def parts(self, shape: Shape) -> dict[str, Part]:
        rows, columns = shape
        packed = Part((rows, columns // 2), ("U8",))
        return {"packed": packed, "scale": Part((rows, columns // _MX), ("U8", "F8_E8M0"))}

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        import torch

        blocks = parts["packed"].unflatten(-1, (-1, _MX // 2))
        return from_mxfp4(blocks, parts["scale"].view(torch.uint8))


@dataclass(frozen=True)
class Nvfp4(Format):
    r"""w_{o,i} = e_{o,i} · (s_{o, ⌊i / 16⌋} · g)

    s is an 8-bit float (E4M3), g one number for the matrix, as ModelOpt stores them.
    """

    names: ClassVar[Mapping[str, str]] = {
        "packed": "{w}",
        "scale": "{w}_scale",
        "whole": "{w}_scale_2",
    }
    method: ClassVar[str] = "ModelOpt"

    @property
    def title(self) -> str:
        return f"{self.method} NVFP4, 4 bits, groups of {_NV}"

    def wrong(self, shape: Shape) -> str | None:
        return _undivided(shape[1], _NV)

    def parts(self, shape: Shape) -> dict[str, Part]:
        rows, columns = shape
        return {
            "packed": Part((rows, columns // 2), ("U8",)),
            "scale": Part((rows, columns // _NV), ("F8_E4M3",)),
            "whole": Part((), FLOATS),
        }

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        scales = self._scales(parts["scale"].float(), parts["whole"].float())
        return scaled(fours(parts["packed"]), scales, (1, _NV))

    def _scales(self, scales: Tensor, whole: Tensor) -> Tensor:
        return scales * whole


@dataclass(frozen=True)
class Nvfp4Packed(Nvfp4):
    """The same with 1 / g stored in its place, as compressed-tensors does."""

    names: ClassVar[Mapping[str, str]] = {
        "packed": "{w}_packed",
        "scale": "{w}_scale",
        "whole": "{w}_global_scale",
    }
    method: ClassVar[str] = "compressed-tensors"

    def _scales(self, scales: Tensor, whole: Tensor) -> Tensor:
        return scales / whole


def _undivided(columns: int, group: int) -> str | None:
    return f"groups of {group} don't divide {columns} inputs" if columns % group else None


def from_mxfp4(blocks: Tensor, scales: Tensor) -> Tensor:
    """Bytes [... R G 16] and exponents [... R G], 127 more than meant, as bfloat16 [... R G·32].

    Bfloat16 reaches as far as these exponents do and has more digits than these values: exact.
    """
    import torch

    # 2^(s − 127) is the float32 whose exponent bits are s; s = 0 lies below those.
    powers = torch.where(scales == 0, 1 << 22, scales.int() << 23).int().view(torch.float32)
    shape = (*blocks.shape[:-2], blocks.shape[-2] * _MX)
    found = blocks.new_empty(shape, dtype=torch.bfloat16)
    each = [found] if found.dim() == 2 else found
    parts = [(blocks, powers)] if found.dim() == 2 else zip(blocks, powers, strict=True)
    for place, (values, factors) in zip(each, parts, strict=True):  # an expert at a time
        place.copy_(scaled(fours(values.flatten(-2)), factors, (1, _MX)))
    return found


def read_mxfp4(c: Config) -> Storage:
    """Reads a `quantization_config` of MXFP4, as gpt-oss has it."""
    harmless(c, "dequantize")
    plain = read_plain(c, "modules_to_not_convert")
    return Storage.of_all("mxfp4", Mxfp4(), plain=plain, where="modules_to_not_convert")
