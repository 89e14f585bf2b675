"""eject: a model as one readable file that needs nothing of this library."""

from __future__ import annotations

import ast
import json
import os
from typing import Any

import torch
from torch import Tensor, nn

from blocks.errors import BlocksError, SpecError
from blocks.hub.folder import writing
from blocks.hub.provenance import Provenance
from blocks.hub.save import spec_of
from blocks.hub.shards import safetensors_bytes
from blocks.models.causal import CausalLM
from blocks.ops.shapeless import on_meta
from blocks.surgery.ejecting.assembly import Assembly
from blocks.surgery.ejecting.book import Book
from blocks.surgery.ejecting.classes import Child, ClassInfo
from blocks.surgery.ejecting.decoder import decoder
from blocks.surgery.ejecting.file import whole

__all__ = ["eject"]

LETTERS = "B batch, T tokens, S tokens seen, D dim, H heads, K kv_heads, E head_dim, F hidden, V vocab."


def eject(model: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Writes a model as one readable file of plain PyTorch, its config and its weights.

    model.py holds only what this model uses and imports torch, safetensors and the standard
    library alone; `load(folder)` in it gives the model, `generate` goes on with a text. Its
    operations are those of the library in their order, so its logits are the same bits. It is
    written from the library's own source: what the model's options decide is decided in it.

    Args:
        model: a `CausalLM`, as it was built, loaded or swapped.
        folder: where model.py, config.json and model.safetensors are put.

    Errors:
        SpecError: a model, or a part of one, that can't be written so; nothing is written then.
        CheckpointError: the folder can't be written.

    Example:
        >>> import blocks, tempfile
        >>> model = blocks.from_pretrained(blocks.packaged())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     blocks.eject(model, folder)
        ...     text = open(f"{folder}/model.py").read()
        >>> "blocks." in text, len(text.splitlines()) <= 250
        (False, True)
    """
    texts, tensors = ejected(model)
    with writing(folder, ("model.py",)) as draft:
        for label, text in texts.items():
            draft.add(label, [text.encode()])
        draft.add("model.safetensors", safetensors_bytes(tensors))


def ejected(model: Any) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The texts of the files, and the tensors."""
    spec = spec_of(model)
    with on_meta():
        twin = spec()
    twin.eval()
    for (label, mine), theirs in zip(twin.named_modules(), model.modules(), strict=False):
        if type(mine) is not type(theirs):
            raise SpecError(f"is a {type(theirs).__name__} by now", field=label)
    book = Book()
    made = decoder(book, twin, spec)
    places, ties = mapped(made, model)
    text = whole(made, told(model), ties)
    held = model.state_dict()
    tensors = {label: held[path].detach() for label, path in places.items()}
    return {"model.py": text, "config.json": json.dumps(book.config, indent=2) + "\n"}, tensors


def told(model: Any) -> str:
    """The head comment."""
    source = getattr(model, "provenance", None) or Provenance()
    origin = source.source or "a model that was put together"
    where = f"{origin}@{source.commit}" if source.commit else origin
    head = [f"{type(model).__name__} of {where}, ejected from blocks."]
    head += [f"Changed: {change}" for change in source.changes]
    return "\n\n".join([*head, LETTERS])


def mapped(made: Assembly, model: Any) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Each name in the file with its place in the model; and which are one tensor."""
    made.book.finish(made.info)
    found: dict[str, str] = {}
    collect(made.book, made.info, "", "", found)
    for i, label in enumerate(made.layers):
        collect(made.book, made.kinds[label][0], f"layers.{i}.", f"layers.{i}.", found)
    held = model.state_dict(keep_vars=True)
    first: dict[int, str] = {}
    kept, ties = {}, []
    for label, path in found.items():
        tensor = held[path]
        if id(tensor) in first:
            ties.append((label, first[id(tensor)]))
        else:
            first[id(tensor)] = label
            kept[label] = path
    return kept, ties


def collect(book: Book, info: ClassInfo, ours: str, theirs: str, found: dict[str, str]) -> None:
    """The tensors of a module, by their names in the ejected file."""
    tree = book.classes[book.finish(info)][1]
    own = {
        part.attr
        for part in ast.walk(tree.body[0])
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self"
    }
    own |= {part.args[0].value for part in ast.walk(tree.body[0]) if isinstance(part, ast.Call) and part.args and isinstance(part.args[0], ast.Constant)}
    for label, path in info.tensors.items():
        if label in own:
            found[f"{ours}{label}"] = f"{theirs}{path}"
    for label, child in info.children.items():
        if label in own and isinstance(child, Child):
            modules: Any = child.module if child.times is not None else [child.module]
            for i, one in enumerate(modules):
                at = f".{i}." if child.times is not None else "."
                inner = book.infos.get(id(modules[0]))
                if inner is not None:
                    collect(book, inner, f"{ours}{label}{at}", f"{theirs}{child.path}{at}", found)
                else:
                    for key in one.state_dict():
                        found[f"{ours}{label}{at}{key}"] = f"{theirs}{child.path}{at}{key}"


_ = (BlocksError, torch, CausalLM)
