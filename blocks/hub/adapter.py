"""Adapters: folders whose weights change a model that is somewhere else."""

from __future__ import annotations

import warnings

from blocks.errors import CheckpointError, printable
from blocks.hub.config import read_json
from blocks.hub.source import Source

NAME = "adapter_config.json"


def check_adapter(source: Source, strict: bool) -> None:
    """Refuses a place that says it is an adapter, also where a whole model lies beside it.

    Other readers take the model that it names, wherever that is, and change it. Which of the two
    is meant nobody can know. With `strict` False, the model beside it is.
    """
    if not source.has(NAME):
        return
    path = source.need(NAME)
    base = read_json(path).get("base_model_name_or_path")
    reason = f"says that this is an adapter of {printable(repr(base))}, which is no model by itself"
    if strict:
        raise CheckpointError(
            reason,
            file=path,
            field="base_model_name_or_path",
            hint="load that model, then blocks.load_adapter(model, this folder); or strict=False, "
            "for a whole model beside this file",
        )
    warnings.warn(f"{path} {reason}; the adapter is left out", stacklevel=3)
