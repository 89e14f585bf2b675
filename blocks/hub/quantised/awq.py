"""AWQ: whole numbers of 4 bits, a scale and a zero for each group of inputs.

Lin et al., "AWQ: activation-aware weight quantization for LLM compression and acceleration", 2023,
arXiv:2306.00978.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from blocks.hub.config import Config
from blocks.hub.keys import FLOATS, Shape
from blocks.hub.quantised.bits import interleaved, scaled, unpacked
from blocks.hub.quantised.format import Format, Part, many
from blocks.hub.quantised.storage import Storage
from blocks.hub.quantised.telling import groups_of, harmless, read_group, read_plain

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

# By which code the numbers are multiplied, and how they were found.
_HARMLESS = """
    desc_act do_fuse exllama_config fuse_max_seq_len lm_head meta modules_to_fuse sym
""".split()
_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)  # where in a word the first, second ... output of eight lies
_BITS = 4


@dataclass(frozen=True)
class Awq(Format):
    r"""w_{o,i} = s_{g(i),o} · (q_{i,o} − z_{g(i),o}),  g(i) = ⌊i / group⌋

    Eight outputs of an input share a word, from its lowest bits up the numbers of outputs 0, 2, 4,
    6, 1, 3, 5 and 7. Zeros are stored alike, as they are.

    Attributes:
        group: inputs that share a scale; None is all.
    """

    group: int | None

    names: ClassVar[Mapping[str, str]] = {
        "qweight": "{m}.qweight",
        "qzeros": "{m}.qzeros",
        "scales": "{m}.scales",
    }

    @property
    def title(self) -> str:
        return f"AWQ, {_BITS} bits, {groups_of(self.group)}"

    def wrong(self, shape: Shape) -> str | None:
        rows, columns = shape
        if rows % 8:
            return f"{rows} outputs of {_BITS} bits fill no whole number of 32-bit words"
        return _undivided(columns, self.group)

    def parts(self, shape: Shape) -> dict[str, Part]:
        rows, columns = shape
        groups = many(columns, self.group or columns)
        return {
            "qweight": Part((columns, rows // 8), ("I32",)),
            "qzeros": Part((groups, rows // 8), ("I32",)),
            "scales": Part((groups, rows), FLOATS),
        }

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        rows, columns = shape
        zeros = interleaved(unpacked(parts["qzeros"], _BITS, rows), _ORDER)  # G R
        numbers = interleaved(unpacked(parts["qweight"], _BITS, rows), _ORDER)  # C R
        values = numbers.t().contiguous().float()  # R C
        return scaled(values, parts["scales"].t(), (1, self.group or columns), zeros.t())


@dataclass(frozen=True)
class AwqByRow(Awq):
    """The same equation, "gemv": the numbers of an output follow one another over its inputs, and
    its scales and zeros over the groups, filled up to a width that kernels like.
    """

    def wrong(self, shape: Shape) -> str | None:
        columns = shape[1]
        if columns % 8:
            return f"{columns} inputs of {_BITS} bits fill no whole number of 32-bit words"
        return _undivided(columns, self.group)

    def parts(self, shape: Shape) -> dict[str, Part]:
        rows, columns = shape
        size = self.group or columns
        even = 1 if size >= 128 else 128 // size  # words of zeros come in this number
        width = many(many(columns // size, 8), even) * even
        return {
            "qweight": Part((rows, columns // 8), ("I32",)),
            "qzeros": Part((rows, width), ("I32",)),
            "scales": Part((rows, width * 8), FLOATS),
        }

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        columns = shape[1]
        size = self.group or columns
        zeros = unpacked(parts["qzeros"], _BITS, columns // size)  # R G
        values = unpacked(parts["qweight"], _BITS, columns).float()  # R C
        return scaled(values, parts["scales"][:, : columns // size], (1, size), zeros)


def _undivided(columns: int, group: int | None) -> str | None:
    if group and columns % group:
        return f"group_size {group} doesn't divide {columns} inputs"
    return None


def read_awq(c: Config) -> Storage:
    """Reads a `quantization_config` of AWQ, as AutoAWQ and transformers write it."""
    c.only("bits", _BITS)
    c.take("w_bit", int, _BITS)
    c.only("zero_point", True)
    c.only("backend", "autoawq", "auto")
    c.only("pack_dtype", "int32")
    group = read_group(c, "q_group_size" if "q_group_size" in c.data else "group_size")
    version = c.take("version", str, "gemm", aliases=("format", "checkpoint_format"))
    kinds = {"gemm": Awq, "gemv": AwqByRow}
    if version.lower() not in kinds:
        raise c.error("version", f"{version!r} can't be read; {' and '.join(kinds)} can")
    kind = kinds[version.lower()]
    if kind is AwqByRow and group not in (None, 32, 64) and group % 128:
        raise c.error("group_size", f"gemv knows groups of 32, 64 and of 128 times n, not {group}")
    harmless(c, *_HARMLESS)
    plain = read_plain(c, "modules_to_not_convert")
    return Storage.of_all("awq", kind(group), plain=plain, where="modules_to_not_convert")
