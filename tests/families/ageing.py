"""Fresh checkpoints rewritten into the forms that files on the Hub have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]


def read_config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def write_config(folder: Path, data: Mapping[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(data))


def old_config(data: Mapping[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """config.json as transformers 4 wrote it; `kind` is "type" in its older files."""
    old = dict(data)
    rope = dict(old.pop("rope_parameters", {}))
    old["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        old["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    name = rope.pop("rope_type")
    old["rope_scaling"] = None if name == "default" else {kind: name, **rope}
    old["torch_dtype"] = old.pop("dtype", "float32")
    old["transformers_version"] = "4.31.0"
    return old


def aged(
    folder: Path,
    to: Path,
    *,
    config: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    tensors: Callable[[Tensors], Tensors] = dict,
    shards: int = 0,
) -> Path:
    """A copy of a checkpoint with another config, other tensors, or cut into shards."""
    to.mkdir(parents=True)
    write_config(to, config(read_config(folder)))
    kept = tensors(load_file(folder / "model.safetensors"))
    if not shards:
        save_file(kept, to / "model.safetensors", {"format": "pt"})
        return to
    names = list(kept)
    where: dict[str, str] = {}
    for at in range(shards):
        file = f"model-{at + 1:05}-of-{shards:05}.safetensors"
        part = {name: kept[name] for name in names[at::shards]}
        save_file(part, to / file, {"format": "pt"})
        where |= dict.fromkeys(part, file)
    total = sum(tensor.nbytes for tensor in kept.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (to / "model.safetensors.index.json").write_text(json.dumps(index))
    return to


def with_rotary_tables(tensors: Tensors) -> Tensors:
    """The frequencies that files of 2023 hold in every layer; nothing may read them."""
    layers = {name.split(".")[2] for name in tensors if name.startswith("model.layers.")}
    name = "model.layers.{}.self_attn.rotary_emb.inv_freq"
    return tensors | {name.format(layer): torch.full((4,), float("nan")) for layer in layers}


def with_tied_copy(tensors: Tensors) -> Tensors:
    """The head of a tied model as a copy of the table."""
    return tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}


def without_table(tensors: Tensors) -> Tensors:
    """A tied model whose file holds the head alone."""
    other = with_tied_copy(tensors)
    del other["model.embed_tokens.weight"]
    return other
