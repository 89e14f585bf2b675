"""Ejected files: written, read in as a stranger would, and asked."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import blocks
from blocks.surgery.ejecting.writing import ejected

MAY_IMPORT = {"__future__", "dataclasses", "json", "math", "pathlib", "safetensors", "torch"}


@contextmanager
def without_blocks() -> Iterator[None]:
    """Whoever imports the library now fails."""
    held = {
        name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "blocks"
    }
    sys.modules["blocks"] = None  # type: ignore[assignment]  # what Python takes for no module
    try:
        yield
    finally:
        del sys.modules["blocks"]
        sys.modules.update(held)


def read_in(folder: Path) -> ModuleType:
    """The module that model.py of a folder is."""
    spec: Any = importlib.util.spec_from_file_location(f"ejected_{id(folder)}", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    try:
        with without_blocks():
            spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


def twin(model: Any, folder: Path) -> tuple[ModuleType, Any]:
    """The ejected module, and its model on the very tensors of ours.

    Where a matrix begins in memory, products may be summed in another order.
    """
    blocks.eject(model, folder)
    module = read_in(folder)
    other = module.load(folder)
    _, tensors = ejected(model)
    missing, extra = other.load_state_dict(tensors, strict=False, assign=True)
    assert not extra
    for name in missing:  # tied: what load has made one
        assert name == "head.weight"
        other.head.weight = other.embedding.weight
    return module, other


def logits(model: Any, tokens: Tensor, *given: Any, **options: Any) -> Tensor:
    with torch.no_grad():
        return model(tokens, *given, **options)


def in_parts(model: Any, tokens: Tensor) -> Tensor:
    """The logits of a text that is read in several calls."""
    cache: list[dict[str, Tensor]] = [{} for _ in model.layers]
    names = model.forward.__code__.co_varnames
    found, start = [], 0
    for part in tokens.split([5, 1, 1, tokens.shape[1] - 7], 1):
        place = {"start": start} if "start" in names else {}
        found.append(logits(model, part, cache=cache, **place))
        start += part.shape[1]
    return torch.cat(found, 1)


def imported(tree: ast.Module) -> dict[str, str]:
    """The names that a file imports, and the packages that they are of."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            base = node.module if isinstance(node, ast.ImportFrom) else None
            for alias in node.names:
                name = alias.asname or alias.name
                found[name] = (base or alias.name).split(".")[0]
    return found


def unused(text: str) -> list[str]:
    """Every class, function, argument, attribute and import that nothing in a file uses."""
    tree = ast.parse(text)
    reads = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    reads |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    found = [name for name in imported(tree) if name.split(".")[0] not in reads | {"annotations"}]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            entry = node.name in ("load", "generate", "forward", "__init__")
            found += [] if entry or node.name in reads else [node.name]
        if isinstance(node, ast.FunctionDef):
            inside = {n.id for part in node.body for n in ast.walk(part) if isinstance(n, ast.Name)}
            args = {arg.arg for arg in node.args.args} - {"self"}
            found += [f"{node.name}({arg})" for arg in sorted(args - inside)]
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            whole = [
                n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == node.attr
            ]
            loads = any(isinstance(n.ctx, ast.Load) for n in whole)
            found += [] if loads else [f"self.{node.attr}"]
    return found
