"""Public architectures, one short file each, found by the `model_type` of their config.json."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from blocks.errors import ConfigError, nearest, printable
from blocks.hub.family import Family

# A module's name has no dash; these are the few types that do.
_DASHED = {
    "modernbert_decoder": "modernbert-decoder",
    "openai_gpt": "openai-gpt",
    "transfo_xl": "transfo-xl",
    "wav2vec2_conformer": "wav2vec2-conformer",
    "xlm_roberta": "xlm-roberta",
}
# What files say that are older than the name.
_OLDER = {"RefinedWeb": "falcon", "RefinedWebModel": "falcon"}


@lru_cache(maxsize=1)
def model_types() -> tuple[str, ...]:
    """Every supported `model_type`, from the names of the files in this folder."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(_DASHED.get(name, name) for name in names if not name.startswith("_")))


def type_of(data: Mapping[str, Any]) -> Any:
    """The `model_type` of a config.json, also of those that tell by their other fields alone."""
    said = data.get("model_type")
    if said is None and {"d_model", "n_layer", "ssm_cfg"} <= data.keys():
        options = data["ssm_cfg"]
        second = isinstance(options, Mapping) and options.get("layer") == "Mamba2"
        return "mamba2" if second else "mamba"
    return said


def family_of(model_type: object, file: str = "config.json") -> Family:
    """The family of a `model_type`, or of the name that it had before.

    Errors:
        ConfigError: no such family; the nearest and all known ones are listed.
    """
    known = model_types()
    if isinstance(model_type, str):
        model_type = _OLDER.get(model_type, model_type)
    if not isinstance(model_type, str) or model_type not in known:
        near = nearest(str(model_type), known, 3)
        hint = f"near: {', '.join(near)}; " if near else ""
        raise ConfigError(
            f"no family for the model_type {printable(repr(model_type))}",
            file=file,
            field="model_type",
            hint=f"{hint}known: {', '.join(known)}",
        )
    # The name is one of our own file names by now, whatever the file said.
    return importlib.import_module(f"blocks.families.{model_type.replace('-', '_')}").FAMILY
