"""Fresh checkpoints rewritten into the forms that files on the Hub have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]
ROTARY_TABLES = ("model.layers.{i}.self_attn.rotary_emb.inv_freq",)


def read_config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def write_config(folder: Path, data: Mapping[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(data))


def old_config(data: Mapping[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    """config.json as transformers 4 wrote it; `kind` is "type" in its older files."""
    old = dict(data)
    old["torch_dtype"] = old.pop("dtype", "float32")
    old["transformers_version"] = "4.31.0"
    if "rope_parameters" not in old:
        return old
    rope = dict(old.pop("rope_parameters"))
    if "full_attention" in rope:
        local, rope = dict(rope["sliding_attention"]), dict(rope["full_attention"])
        if "gemma" in old["model_type"]:
            old["rope_local_base_freq"] = local["rope_theta"]
    old["rope_theta"] = rope.pop("rope_theta")
    if "partial_rotary_factor" in rope:
        old["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    name = rope.pop("rope_type")
    old["rope_scaling"] = None if name == "default" else {kind: name, **rope}
    return old


def old_inside(name: str) -> Callable[..., dict[str, Any]]:
    """`old_config` of a model whose text model has a config of its own."""

    def older(data: Mapping[str, Any], kind: str = "rope_type") -> dict[str, Any]:
        return old_config(data) | {name: old_config(data[name], kind)}

    return older


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


def without_lists(data: Mapping[str, Any]) -> dict[str, Any]:
    """config.json without what lists the layers one by one, unless it can't do without."""
    if data.get("model_type") == "granitemoehybrid":
        return dict(data)
    return {n: v for n, v in data.items() if n not in ("layer_types", "no_rope_layers")}


def with_extra(templates: Iterable[str], layers: int) -> Callable[[Tensors], Tensors]:
    """Tables and masks that older files hold in every layer; nothing may read them."""
    names = [name.replace("{i}", str(i)) for name in templates for i in range(layers)]
    return lambda tensors: tensors | {name: torch.full((4,), float("nan")) for name in names}


def with_tied_copy(table: str, head: str) -> Callable[[Tensors], Tensors]:
    """The head of a tied model as a copy of the table."""
    return lambda tensors: tensors | {head: tensors[table].clone()}


def without_table(table: str, head: str) -> Callable[[Tensors], Tensors]:
    """A tied model whose file holds the head alone."""
    copied = with_tied_copy(table, head)
    return lambda tensors: {n: t for n, t in copied(tensors).items() if n != table}


def without_prefix(prefix: str) -> Callable[[Tensors], Tensors]:
    """The file of the model without its head: names begin later."""
    return lambda tensors: {name.removeprefix(prefix): t for name, t in tensors.items()}
