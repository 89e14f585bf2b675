"""GPTQ: whole numbers of 2, 3, 4 or 8 bits, a scale and a zero for each group of inputs.

Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained transformers",
2023, arXiv:2210.17323.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from blocks.hub.config import Config
from blocks.hub.keys import FLOATS, Shape
from blocks.hub.quantised.bits import in_order, ordered, scaled, unpacked
from blocks.hub.quantised.format import Format, Part, check_groups, many, refused
from blocks.hub.quantised.naming import Names, check_name
from blocks.hub.quantised.storage import Storage
from blocks.hub.quantised.telling import groups_of, harmless, read_group

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

# How the numbers were found, and by which code they are multiplied: the tensors stay the same.
_HARMLESS = """
    act_group_aware backend batch_size block_name_to_quantize cache_block_outputs
    damp_auto_increment damp_percent dataset desc_act disable_exllama exllama_config lm_head
    max_input_length meta
    model_file_base_name model_name_or_path model_seqlen module_name_preceding_first_block
    modules_in_block_to_quantize mse offload_to_disk offload_to_disk_path pad_token_id static_groups
    sym tokenizer true_sequential use_cuda_fp16 use_exllama
""".split()
_BITS = (2, 3, 4, 8)
_LESS = {"gptq": 1, "gptq_v2": 0}


@dataclass(frozen=True)
class Gptq(Format):
    r"""w_{o,i} = s_{g(i),o} · (q_{i,o} − z_{g(i),o})

    The numbers q of an output follow one another over its inputs i, the lowest bits of a word
    first; the zeros z of a group over the outputs. The first version of the format stores z − 1,
    modulo 2^bits. The group g(i) is ⌊i / group⌋, or what `g_idx` says where inputs were ordered by
    their activation.

    Attributes:
        bits: of a number.
        group: inputs that share a scale; None is all.
        less: what was taken from the zeros before they were stored.
    """

    bits: int
    group: int | None
    less: int = 1

    names: ClassVar[Mapping[str, str]] = {
        "qweight": "{m}.qweight",
        "qzeros": "{m}.qzeros",
        "scales": "{m}.scales",
        "g_idx": "{m}.g_idx",
        "bias": "{m}.bias",  # older files have one of zeros where the model has none
    }
    optional: ClassVar[frozenset[str]] = frozenset({"g_idx", "bias"})

    @property
    def title(self) -> str:
        return f"GPTQ, {self.bits} bits, {groups_of(self.group)}"

    def wrong(self, shape: Shape) -> str | None:
        for size, what in zip(shape, ("outputs", "inputs"), strict=True):
            if size * self.bits % 32:
                return f"{size} {what} of {self.bits} bits fill no whole number of 32-bit words"
        return None

    def parts(self, shape: Shape) -> dict[str, Part]:
        rows, columns = shape
        groups = many(columns, self.group or columns)
        return {
            "qweight": Part((columns * self.bits // 32, rows), ("I32",)),
            "qzeros": Part((groups, rows * self.bits // 32), ("I32",)),
            "scales": Part((groups, rows), FLOATS),
            "g_idx": Part((columns,), ("I32", "I64")),
            "bias": Part((rows,), FLOATS),
        }

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        rows, columns = shape
        if "bias" in parts and parts["bias"].any():
            raise refused("bias", "holds a bias, and the model has none there")
        zeros = unpacked(parts["qzeros"], self.bits, rows) + self.less & (2**self.bits - 1)  # G R
        numbers = unpacked(parts["qweight"].t(), self.bits, columns).float()  # R C
        zeros, scales = zeros.t(), parts["scales"].t()  # R G
        group = self.group or columns
        if "g_idx" in parts:
            which = parts["g_idx"].long()
            check_groups(which, scales.shape[1])
            if not in_order(which, group):
                return ordered(numbers, scales, zeros, which)
        return scaled(numbers, scales, (1, group), zeros)


def read_gptq(c: Config) -> Storage:
    """Reads a `quantization_config` of GPTQ, as AutoGPTQ, transformers and GPTQModel write it."""
    c.only("pack_dtype", "int32", "torch.int32")
    c.only("is_marlin_format", False)
    for name in ("rotation", "adapter"):  # both change what the numbers are multiplied with
        c.only(name, None)
    form = c.take("checkpoint_format", str, "gptq", aliases=("format",))
    if form not in _LESS:
        raise c.error("checkpoint_format", f"{form!r} can't be read; {', '.join(_LESS)} can")
    common = _read(c, None, _LESS[form])
    rules: list[tuple[Names, tuple[Format, ...]]] = []
    dynamic = c.inner("dynamic")
    for name in () if dynamic is None else dynamic.data:
        assert dynamic is not None
        pattern = check_name(dynamic, name, "re:" + name.removeprefix("+:").removeprefix("-:"))
        inner = dynamic.inner(name)
        left = name.startswith("-:")
        rules.append((Names((pattern,)), () if left or inner is None else (_read(inner, common),)))
    harmless(c, *_HARMLESS)
    return Storage("gptq", (*rules, (Names(("*",)), (common,))))


def _read(c: Config, common: Gptq | None, less: int = 1) -> Gptq:
    """The format of all modules, or of some that differ in a part of it from the others."""
    if common is None:
        bits, group = c.take("bits", int), read_group(c)
    else:
        bits, less = c.take("bits", int, common.bits), common.less
        group = read_group(c) if "group_size" in c.data else common.group
        harmless(c, *_HARMLESS)
    if bits not in _BITS:
        raise c.error("bits", f"{bits} is not one of {', '.join(map(str, _BITS))}")
    return Gptq(bits, group, less)
