"""A model that is known by its config.json alone: the architecture without a checkpoint."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blocks.hub.adapter import check_adapter
from blocks.hub.checkpoint import STEMS
from blocks.hub.gguf.place import chosen
from blocks.hub.inspection import inspected, is_alone
from blocks.hub.outline import Outline, read_config, read_outline
from blocks.hub.report import KINDS, Inspection
from blocks.hub.source import Source, resolve
from blocks.models.packing import packed_ties
from blocks.models.places import addresses, spread
from blocks.ops.shapeless import on_meta
from blocks.ops.twins import twinned

__all__: list[str] = []


@dataclass(frozen=True)
class Plan:
    """What config.json says.

    Attributes:
        name: of the file, or of what it is in.
        model_type: the family, "blocks" for our own format.
        dtype: of the weights: "float32" where it doesn't say.
        shared: (place, source) of the tensors that are one.
        model: on meta.
    """

    name: str
    model_type: str
    dtype: str
    shared: tuple[tuple[str, str], ...]
    model: Any = field(repr=False, compare=False)


def look(place: str | os.PathLike[str], **where: Any) -> Inspection | Plan:
    """What a folder or repository holds; of a config.json, or of one without weights, its plan.

    Args:
        place: a folder, a repository, or a file in the form of config.json.
        **where: `revision`, `token`, `cache_dir` and `local_files_only`, as in `inspect`.

    Errors:
        HubError, ConfigError, CheckpointError: as in `inspect`.
    """
    path = Path(place).expanduser()
    if path.suffix == ".json" and path.is_file():
        return _plan(read_config(path), str(place))
    source = chosen(resolve(place, **where))
    check_adapter(source, strict=is_alone(source))
    return inspected(source) if _weighs(source) else _plan(read_outline(source), source.name)


def _weighs(source: Source) -> bool:
    """Whether there are weights; where nobody knows, reading them says what is wrong."""
    if source.foreign:
        return True
    tails = (".safetensors.index.json", ".safetensors")
    if any(source.has(stem + tail) for stem in STEMS for tail in tails):
        return True
    names = source.files()
    return names is None or not source.has("config.json")


def _plan(outline: Outline, name: str) -> Plan:
    with on_meta(), twinned():
        model = outline.build()
    shapes = {address: tuple(tensor.shape) for address, tensor in addresses(model).items()}
    ties = [pair for tie in packed_ties(model, outline.ties) for pair in spread(tie, shapes)]
    # A file that another tool wrote leaves the field out where the head is tied.
    known = [tie for tie in outline.sharable(ties) if shapes.get(tie[0]) == shapes.get(tie[1])]
    data = outline.config.data
    said = str(data.get("dtype") or data.get("torch_dtype"))
    dtype = said if said in KINDS else "float32"
    return Plan(name, outline.model_type, dtype, tuple(known), model)
