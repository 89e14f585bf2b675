"""What the library never does, whatever a checkpoint says: read off the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from index import ROOT

PACKAGE = ROOT / "blocks"
MODULES = {
    *("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"),
    *("subprocess", "runpy", "code", "ctypes", "imp", "pty", "multiprocessing", "yaml"),
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    *("torch.load", "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter"),
    *("torch.serialization.load", "yaml.load", "os.system", "os.popen", "os.execv", "os.spawnv"),
    *("importlib.import_module", "importlib.util.spec_from_file_location", "builtins.eval"),
    *("pkgutil.resolve_name", "pkgutil.get_loader"),
}
# The lazy index imports from a table that is written into it; families are found by the files
# in their own folder, dialects of GGUF and rules of carrying likewise. All check the name against
# what the package holds before they import.
IMPORTERS = {Path("__init__.py"), Path("families/__init__.py"), Path("hub/gguf/translate.py")}
IMPORTERS |= {Path("carry/__init__.py")}
# The system's call that exchanges two folders has no other name in Python.
CALLERS_OF_C = {Path("hub/durable.py")}
TORCH = {"torch", "nn", "F", "functional", "torch.nn", "torch.nn.functional", "np", "numpy"}


def offences(code: str, may_import: bool = False) -> list[str]:
    tree = ast.parse(code)
    found: list[tuple[int, str]] = []
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                aliases[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
                if alias.name.split(".")[0] in MODULES:
                    found.append((node.lineno, f"import {alias.name}"))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{module}.{alias.name}"
            if module.split(".")[0] in MODULES:
                found.append((node.lineno, f"from {module} import"))
    own = set(_arguments(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in BUILTINS and id(node) not in own:
            found.append((node.lineno, node.id))
        if isinstance(node, ast.Attribute | ast.Name):
            head, _, rest = ast.unparse(node).partition(".")
            name = ".".join(filter(None, [aliases.get(head, head), rest]))
            if name in CALLS and not (may_import and name == "importlib.import_module"):
                found.append((node.lineno, name))
        if isinstance(node, ast.Call):
            found += [(node.lineno, what) for what in _call(node)]
    return [f"line {line}: {what}" for line, what in sorted(set(found))]


def _arguments(tree: ast.AST) -> Iterator[int]:
    """The uses of a builtin's name where a function has an argument of that name."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            names = {part.arg for part in ast.walk(function.args) if isinstance(part, ast.arg)}
            for part in (inner for line in function.body for inner in ast.walk(line)):
                if isinstance(part, ast.Name) and part.id in names:
                    yield id(part)


def _call(node: ast.Call) -> list[str]:
    found = []
    if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) > 1:
        literal = isinstance(node.args[1], ast.Constant)
        if ast.unparse(node.args[0]) in TORCH and not literal:
            found.append(ast.unparse(node))
    for keyword in node.keywords:
        if keyword.arg in ("allow_pickle", "trust_remote_code", "shell"):
            found.append(f"{keyword.arg}=")
    return found


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_nothing_dangerous(path: Path) -> None:
    may_import = path.relative_to(PACKAGE) in IMPORTERS
    found = offences(path.read_text(encoding="utf-8"), may_import)
    if path.relative_to(PACKAGE) in CALLERS_OF_C:
        found = [what for what in found if "import ctypes" not in what]
    assert not found


def test_no_private_field_of_a_config_selects_anything() -> None:
    """Names with an underscore in front are other tools' notes; two alone are of the models."""
    names = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".take", ".get")):
                asked = [*node.args, *(word.value for word in node.keywords)]
                asked += [part for arg in asked for part in getattr(arg, "elts", ())]
                given = {arg.value for arg in asked if isinstance(arg, ast.Constant)}
                names |= {name for name in given if str(name).startswith("_")}
    # Whether OPT has a last norm, and in which order RecurrentGemma's layers come.
    assert names == {"_remove_final_layer_norm", "_block_types"}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import subprocess as s",
        "import torch as t\nt.load('f')",
        "from torch import load\nload('f')",
        "import torch\nf = torch.load",
        "import torch\ngetattr(torch, config['dtype'])",
        "from torch import nn\ngetattr(nn, name)()",
        "eval(text)",
        "run = exec",
        "def f(compile=compile): ...",
        "__import__(name)",
        "from importlib import import_module as get\nget(name)",
        "import importlib\nimportlib.import_module(name)",
        "import numpy\nnumpy.load(f, allow_pickle=True)",
        "import yaml\nyaml.load(f)",
        "import os\nos.system('x')",
    ],
)
def test_the_danger_is_seen(code: str) -> None:
    assert offences(code)


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.compile(model)",
        "import torch\ngetattr(torch, 'float8_e4m3fn', None)",
        "model.eval()",
        "def f(compile):\n    return g if compile else h",
        "import re\nre.compile('x')",
        "self.load(x)",
    ],
)
def test_the_harmless_passes(code: str) -> None:
    assert not offences(code)
