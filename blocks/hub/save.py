"""save_pretrained: any composition in our own format, Spec and weights by address."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from blocks._version import __version__
from blocks.errors import CheckpointError
from blocks.hub.checksums import NAME as CHECKSUMS
from blocks.hub.checksums import folder_checksums
from blocks.hub.folder import read_size, write_json, write_tensors, writing
from blocks.hub.outline import NATIVE
from blocks.hub.provenance import Provenance
from blocks.models.places import addresses
from blocks.spec import Spec, is_spec
from blocks.written import to_json

__all__ = ["save_pretrained"]


def save_pretrained(
    model: Any, folder: str | os.PathLike[str], *, max_shard_size: int | str = "5GB"
) -> None:
    """Saves a model whatever it is made of; `from_pretrained` makes it again.

    The folder gets config.json (the Spec with every value, and where the weights came from),
    generation_config.json and safetensors whose names are addresses. It appears whole or not at
    all. To give a model to other tools, use `export`.

    Args:
        model: an assembly with a `.spec`.
        folder: where to; other files of an older folder are kept.
        max_shard_size: larger checkpoints are cut into shards: "5GB", or bytes.

    Errors:
        SpecError: the Spec holds a function, which can't be written.
        CheckpointError: weights that are missing, or a folder that can't be written.

    Example:
        >>> import blocks, tempfile
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> folder = tempfile.mkdtemp()
        >>> blocks.save_pretrained(model, folder)
        >>> blocks.from_pretrained(folder).spec == model.spec
        True
    """
    spec = spec_of(model)
    data = {
        "model_type": NATIVE,
        "architectures": [spec.func.__name__],
        "library_name": "blocks",
        "blocks_version": __version__,
        "provenance": _told(getattr(model, "provenance", Provenance())),
        "spec": to_json(spec),
    }
    parts = {
        name: (tensor.numel() * tensor.element_size(), lambda tensor=tensor: tensor)
        for name, tensor in unique_tensors(model).items()
    }
    size = read_size(max_shard_size)
    with writing(folder) as fresh:
        write_tensors(fresh, parts, size)
        write_json(fresh / "config.json", data)
        write_generation(model, fresh)
        write_json(fresh / CHECKSUMS, folder_checksums(fresh))


def _told(provenance: Provenance) -> dict[str, Any]:
    """The provenance without the path of a folder, which concerns nobody else."""
    data = provenance.to_json()
    if provenance.source and provenance.commit is None:
        data["source"] = Path(provenance.source).name
    return data


def spec_of(model: Any) -> Spec:
    """The Spec of an assembly, or an error for what has none."""
    spec: Any = getattr(model, "spec", None)
    if not is_spec(spec):
        raise CheckpointError(
            f"a {type(model).__name__} has no spec",
            field="model",
            hint="save an assembly such as CausalLM",
        )
    return spec


def unique_tensors(model: Any) -> dict[str, Tensor]:
    """Every tensor once: those that share another's memory by a tie are left out."""
    first: dict[int, str] = {}
    sources = {source for _, source in model.spec.keywords.get("ties", ())}
    every = addresses(model)
    for name in sorted(every, key=lambda name: name not in sources):
        tensor = every[name]
        if tensor.is_meta:
            raise CheckpointError("has no values: it is on the meta device", tensor=name)
        first.setdefault(id(tensor), name)
    return {name: tensor for name, tensor in every.items() if first[id(tensor)] == name}


def write_generation(model: Any, folder: Any) -> None:
    """generation_config.json, where the model knows how its texts end."""
    defaults = getattr(model, "generation", None)
    if defaults is not None:
        data = defaults.to_json()
        if data:
            write_json(folder / "generation_config.json", data)
