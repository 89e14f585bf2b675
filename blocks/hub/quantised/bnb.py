"""bitsandbytes: 4 bits that name one of 16 values (nf4, fp4), and int8 with a scale an output.

Dettmers et al., "QLoRA: efficient finetuning of quantized LLMs", 2023, arXiv:2305.14314;
"LLM.int8(): 8-bit matrix multiplication for transformers at scale", 2022, arXiv:2208.07339.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from blocks.hub.config import Config
from blocks.hub.keys import Shape
from blocks.hub.quantised.bits import scaled
from blocks.hub.quantised.format import ANY, Format, Part, many, refused
from blocks.hub.quantised.storage import Storage
from blocks.hub.quantised.telling import harmless, read_plain

if TYPE_CHECKING:
    from torch import Tensor

__all__: list[str] = []

# By which code and in what precision the numbers are multiplied.
_HARMLESS = """
    _load_in_4bit _load_in_8bit bnb_4bit_compute_dtype llm_int8_enable_fp32_cpu_offload
    llm_int8_has_fp16_weight llm_int8_threshold
""".split()
_STORED = {
    "uint8": ("U8", 1),
    "bfloat16": ("BF16", 2),
    "float16": ("F16", 2),
    "float32": ("F32", 4),
}
_SMALLEST, _LARGEST = 32, 4096  # blocks
_STATE = "{w}.quant_state.bitsandbytes__"


@dataclass(frozen=True)
class Bnb4(Format):
    r"""w_n = map[c_n] · a_{⌊n / block⌋}

    n counts the values of the matrix row by row; their codes c lie two a byte, the earlier in the
    upper half. Where the factors a are quantised as well, a_k = map'[c'_k] · a'_{⌊k / block'⌋} + b.
    What `quant_state` holds is JSON, in bytes: the blocks, the shape and b.

    Attributes:
        kind: "nf4" or "fp4".
        double: whether the factors are quantised.
        storage: as what dtype the bytes are stored.
    """

    kind: str = "nf4"
    double: bool = False
    storage: str = "uint8"

    names: ClassVar[Mapping[str, str]] = {
        "weight": "{w}",
        "absmax": "{w}.absmax",
        "quant_map": "{w}.quant_map",
        "state": f"{_STATE}nf4",
    }

    @property
    def title(self) -> str:
        twice = ", factors of 8 bits" if self.double else ""
        return f"bitsandbytes {self.kind}, 4 bits{twice}"

    def parts(self, shape: Shape) -> dict[str, Part]:
        kind, size = _STORED[self.storage]
        return {
            "weight": Part((many(shape[0] * shape[1], 2 * size), 1), (kind,)),
            "absmax": Part((ANY,), ("U8",) if self.double else ("F32",)),
            "quant_map": Part((16,), ("F32",)),
            "state": Part((ANY,), ("U8",)),
            "nested_absmax": Part((ANY,), ("F32",)),
            "nested_quant_map": Part((256,), ("F32",)),
        }

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        import torch

        state = _State.read(bytes(parts["state"].numpy()), self.kind, shape)
        count = shape[0] * shape[1]
        absmax = parts["absmax"]
        if self.double:
            block = state.size("nested_blocksize")
            _check_count("nested_absmax", parts["nested_absmax"], len(absmax), block)
            absmax = parts["nested_quant_map"][absmax.int()][None]
            absmax = scaled(absmax, parts["nested_absmax"][None], (1, block))[0] + state.offset
        block = state.size("blocksize")
        _check_count("absmax", absmax, count, block)
        byte, one = torch.arange(256), parts["quant_map"]
        pairs = torch.stack([one[byte // 16], one[byte % 16]], -1)  # 256 2
        codes = parts["weight"].contiguous().view(torch.uint8).flatten()
        values = pairs[codes.int()].flatten()[None, :count]
        return scaled(values, absmax[None], (1, block)).view(shape)


def _check_count(role: str, held: Tensor, count: int, block: int) -> None:
    if len(held) != (wanted := many(count, block)):
        reason = f"holds {len(held)} factors, {count} values in blocks of {block} need {wanted}"
        raise refused(role, reason)


@dataclass(frozen=True)
class _State:
    """What the JSON beside a matrix says."""

    data: Mapping[str, Any]

    @classmethod
    def read(cls, text: bytes, kind: str, shape: Shape) -> _State:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise refused("state", "is not readable as JSON") from None
        if not isinstance(data, dict) or data.get("quant_type") != kind:
            raise refused("state", f"is of no matrix in {kind}")
        if data.get("shape") != list(shape):
            raise refused("state", f"is of a matrix {data.get('shape')}, not {list(shape)}")
        return cls(data)

    def size(self, name: str) -> int:
        value = self.data.get(name)
        if type(value) is not int or not _SMALLEST <= value <= _LARGEST:
            raise refused("state", f"{name} is {value!r}, not from {_SMALLEST} to {_LARGEST}")
        return value

    @property
    def offset(self) -> float:
        value = self.data.get("nested_offset")
        if type(value) is not float or not abs(value) < float("inf"):
            raise refused("state", f"nested_offset is {value!r}, no finite number")
        return value


@dataclass(frozen=True)
class Nf4Twice(Bnb4):
    """nf4 with factors that are quantised themselves."""

    names: ClassVar[Mapping[str, str]] = {
        **Bnb4.names,
        "nested_absmax": "{w}.nested_absmax",
        "nested_quant_map": "{w}.nested_quant_map",
    }


@dataclass(frozen=True)
class Fp4(Bnb4):
    """The same with another map, which files name in `quant_state`."""

    names: ClassVar[Mapping[str, str]] = {**Bnb4.names, "state": f"{_STATE}fp4"}


@dataclass(frozen=True)
class Fp4Twice(Bnb4):
    """fp4 with factors that are quantised themselves."""

    names: ClassVar[Mapping[str, str]] = {**Nf4Twice.names, "state": f"{_STATE}fp4"}


@dataclass(frozen=True)
class Bnb8(Format):
    r"""w_{o,i} = q_{o,i} · SCB_o / 127"""

    names: ClassVar[Mapping[str, str]] = {
        "weight": "{w}",
        "SCB": "{m}.SCB",
        "weight_format": "{m}.weight_format",
    }
    optional: ClassVar[frozenset[str]] = frozenset({"weight_format"})

    @property
    def title(self) -> str:
        return "bitsandbytes int8, 8 bits, one scale an output"

    def parts(self, shape: Shape) -> dict[str, Part]:
        return {
            "weight": Part(shape, ("I8",)),
            "SCB": Part((shape[0],), ("F32",)),
            "weight_format": Part((), ("U8",)),
        }

    def decode(self, shape: Shape, parts: Mapping[str, Tensor]) -> Tensor:
        if "weight_format" in parts and int(parts["weight_format"]):
            raise refused("weight_format", "says that the rows are stored in tiles; 0 can be read")
        # 1/127 in float32 is what the tool multiplies by, after the scale.
        return parts["weight"].float().mul_(parts["SCB"][:, None]).mul_(1 / 127)


_FOURS = {
    ("nf4", False): Bnb4,
    ("nf4", True): Nf4Twice,
    ("fp4", False): Fp4,
    ("fp4", True): Fp4Twice,
}


def read_bnb(c: Config) -> Storage:
    """Reads a `quantization_config` of bitsandbytes, as transformers writes it."""
    four, eight = (c.take(f"load_in_{n}bit", bool, False) for n in (4, 8))
    kind = c.take("bnb_4bit_quant_type", str, "fp4")
    double = c.take("bnb_4bit_use_double_quant", bool, False)
    stored = c.take("bnb_4bit_quant_storage", str, "uint8")
    harmless(c, *_HARMLESS)
    if four == eight:
        raise c.error("load_in_4bit", "either this or load_in_8bit must be true")
    if (kind, double) not in _FOURS:
        raise c.error("bnb_4bit_quant_type", f"{kind!r} can't be read; nf4 and fp4 can")
    if stored not in _STORED:
        raise c.error("bnb_4bit_quant_storage", f"{stored!r} is not one of {', '.join(_STORED)}")
    form = Bnb8() if eight else _FOURS[kind, double](kind, double, stored)
    plain = read_plain(c, "llm_int8_skip_modules")
    return Storage.of_all("bitsandbytes", form, plain=plain, where="llm_int8_skip_modules")
