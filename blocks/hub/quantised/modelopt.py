"""ModelOpt: FP8 with a scale a matrix, an output or a block, and NVFP4."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blocks.errors import ConfigError
from blocks.hub.config import Config
from blocks.hub.quantised.format import Format
from blocks.hub.quantised.fp4 import Nvfp4
from blocks.hub.quantised.fp8 import CHANNEL, TENSOR, Scaled
from blocks.hub.quantised.storage import Storage
from blocks.hub.quantised.telling import harmless, read_plain

__all__: list[str] = []

FILE = "hf_quant_config.json"  # where older checkpoints have it, beside their config.json

_FORMATS: dict[str, Format] = {
    "FP8": Scaled(TENSOR, method="ModelOpt FP8"),
    "FP8_PER_CHANNEL_PER_TOKEN": Scaled(CHANNEL, method="ModelOpt FP8"),
    "FP8_PB_WO": Scaled((128, 128), method="ModelOpt FP8"),
    "NVFP4": Nvfp4(),
}
# Who made it, and what is done with activations and with what attention remembers.
_HARMLESS = ("config_groups", "group_size", "kv_cache_quant_algo", "kv_cache_scheme", "producer")


def as_config(data: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """What the file beside config.json says, as config.json would."""
    inner = data.get("quantization")
    if not isinstance(inner, dict):
        raise ConfigError("says nothing that can be read", file=file, field="quantization")
    return {"quant_method": "modelopt", **inner}


def read_modelopt(c: Config) -> Storage:
    """Reads a `quantization_config` of ModelOpt."""
    algo = c.take("quant_algo", str).upper()
    if algo not in _FORMATS:
        raise c.error("quant_algo", f"{algo!r} can't be read; {', '.join(_FORMATS)} can")
    c.only("has_zero_point", False)
    c.only("pre_quant_scale", False)  # what is multiplied would change
    harmless(c, *_HARMLESS)
    plain = read_plain(c, "ignore", "exclude_modules")
    return Storage.of_all("modelopt", _FORMATS[algo], plain=plain, where="ignore")
