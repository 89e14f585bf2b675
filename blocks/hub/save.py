"""save_pretrained: any composition in our own format, Spec and weights by address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from blocks._version import __version__
from blocks.errors import CheckpointError
from blocks.hub.folder import Draft, writing
from blocks.hub.frozen import trains_json
from blocks.hub.outline import NATIVE
from blocks.hub.packing import packing_json
from blocks.hub.provenance import Provenance
from blocks.hub.shards import read_size, write_tensors
from blocks.models.adapters import is_adapted
from blocks.models.packing import packed_matrices
from blocks.models.places import addresses
from blocks.spec import Spec, is_spec
from blocks.text.tokenfiles import NAMES as TOKENIZER
from blocks.written import to_json

__all__ = ["save_pretrained"]


def save_pretrained(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    tokenizer: Any = None,
    max_shard_size: int | str = "5GB",
) -> None:
    """Saves a model whatever it is made of; `from_pretrained` makes it again.

    The folder gets config.json (the Spec with every value, and where the weights came from),
    generation_config.json, safetensors whose names are addresses, and the SHA-256 of each file. It
    holds the older checkpoint or the new one, whole, at every moment. To give a model to other
    tools, use `export`. Matrices that `optimize` has packed stay packed.

    Args:
        model: an assembly with a `.spec`.
        folder: where to. An older checkpoint in it is replaced; your other files, and a tokenizer
            unless another is given, stay.
        tokenizer: a `Tokenizer` to save with it.
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
    if packed := packed_matrices(model):
        data["packed"] = packing_json(packed)
    if is_adapted(spec):
        data["trains"] = trains_json(model)
    parts = {
        name: (tensor.numel() * tensor.element_size(), lambda tensor=tensor: tensor)
        for name, tensor in unique_tensors(model).items()
    }
    size = read_size(max_shard_size)
    texts = tokenizer_files(tokenizer)
    with writing(folder, TOKENIZER if texts else ()) as draft:
        write_tensors(draft, parts, size)
        draft.json("config.json", data)
        write_others(model, texts, draft)


def _told(provenance: Provenance) -> dict[str, Any]:
    """The provenance without the path of a folder, which concerns nobody else."""
    data = provenance.to_json()
    if provenance.source and provenance.commit is None:
        data["source"] = Path(provenance.source).name
    return data


def spec_of(model: Any) -> Spec:
    """The Spec of an assembly, or an error for what has none."""
    spec: Any = getattr(model, "spec", None)
    if not is_spec(spec) or not isinstance(model, nn.Module):
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


def tokenizer_files(tokenizer: Any) -> dict[str, bytes]:
    """The files of a tokenizer, under the names that tokenizers have and no others."""
    if tokenizer is None:
        return {}
    if not hasattr(tokenizer, "files"):
        kind = type(tokenizer).__name__
        raise CheckpointError(f"must be a blocks.Tokenizer, not {kind}", field="tokenizer")
    found = tokenizer.files()
    return {name: found[name] for name in TOKENIZER if name in found}


def write_others(model: Any, texts: Mapping[str, bytes], draft: Draft) -> None:
    """The tokenizer, and generation_config.json where the model knows how its texts end."""
    defaults = getattr(model, "generation", None)
    data = {} if defaults is None else defaults.to_json()
    if data:
        draft.json("generation_config.json", data)
    for name, text in texts.items():
        draft.add(name, [text])
