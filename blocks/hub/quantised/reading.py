"""Which reader reads which `quantization_config`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from blocks.errors import nearest
from blocks.hub.config import Config
from blocks.hub.quantised.awq import read_awq
from blocks.hub.quantised.bnb import read_bnb
from blocks.hub.quantised.compressed import read_compressed
from blocks.hub.quantised.fp4 import read_mxfp4
from blocks.hub.quantised.fp8 import read_fbgemm, read_fp8
from blocks.hub.quantised.gptq import read_gptq
from blocks.hub.quantised.modelopt import read_modelopt
from blocks.hub.quantised.storage import FIELD, Storage

__all__: list[str] = []

_OLDER = "compression_config"  # as the first files of compressed-tensors have it
_READERS: dict[str, Callable[[Config], Storage]] = {
    "awq": read_awq,
    "bitsandbytes": read_bnb,
    "compressed-tensors": read_compressed,
    "fbgemm_fp8": read_fbgemm,
    "fp8": read_fp8,
    "gptq": read_gptq,
    "modelopt": read_modelopt,
    "modelopt_fp4": read_modelopt,
    "mxfp4": read_mxfp4,
}


def read_storage(config: Config) -> Storage | None:
    """How a checkpoint stores its matrices; None where its config says nothing of it.

    Args:
        config: a family's config.json, of a model around the text model or of that alone.

    Errors:
        ConfigError: a method that can't be read, or a field that is not known to it.
    """
    for c, name in product((config, config.body), (FIELD, _OLDER)):
        inner = c.inner(name) if name in c.data else None
        if inner is not None:
            method = inner.take("quant_method", str)
            if method not in _READERS:
                near = nearest(method, _READERS)
                hint = f"did you mean {near[0]!r}?" if near else None
                known = ", ".join(_READERS)
                reason = f"{method!r} is quantised in a form that can't be read; read are {known}"
                raise inner.error("quant_method", reason, hint)
            return _READERS[method](inner)
    return None
