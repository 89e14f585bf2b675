"""Writes blocks/__init__.py: every public name, imported the moment it is first used.

The modules are read as text and never imported, so a broken one can't stop the index.
`--check` writes nothing and fails where the file is stale.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BLOCK_FOLDERS = (
    "attention",
    "positions",
    "norm",
    "mlp",
    "moe",
    "ssm",
    "recurrent",
    "conv",
    "embedding",
    "wiring",
    "heads",
)
OUTSIDE = {"families", "cli", "testing"}  # found by name, by command, as a submodule


class Public(NamedTuple):
    """A public name: where it lives and what it is (class, record, function or value)."""

    name: str
    module: str
    kind: str


class IndexProblem(Exception):
    """What keeps the index from being written."""


def module_name(path: Path, package: Path) -> str:
    return ".".join(path.relative_to(package.parent).with_suffix("").parts)


def offered(tree: ast.Module, where: object = "module") -> list[str]:
    """The names in a module's `__all__`, which must be a literal list or tuple."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            try:
                return [str(name) for name in ast.literal_eval(node.value)]  # type: ignore[attr-defined]  # an assignment has a value
            except ValueError:
                raise IndexProblem(f"{where}: __all__ is not a literal list") from None
    return []


def _kind(tree: ast.Module, name: str) -> str:
    node = next((n for n in tree.body if getattr(n, "name", None) == name), None)
    if not isinstance(node, ast.ClassDef):
        return "value" if node is None else "function"
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    changing = any("dataclass" in mark and "frozen=True" not in mark for mark in marks)
    told = any(ast.unparse(base) == "NamedTuple" for base in node.bases)
    return "record" if changing or told else "class"


def is_block(item: Public) -> bool:
    """Whether a name is a block or a value that blocks take; a record is what they pass around."""
    return item.kind == "class" and item.module.split(".")[1] in BLOCK_FOLDERS


def modules(package: Path) -> list[Path]:
    """The package's modules that may offer public names."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[0] not in OUTSIDE and not any(part.startswith("_") for part in parts):
            found.append(path)
    return found


def public(package: Path = ROOT / "blocks") -> dict[str, Public]:
    """Every public name of the package, sorted.

    Raises:
        IndexProblem: two modules offer the same name.
    """
    found: dict[str, Public] = {}
    for path in modules(package):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for name in offered(tree, path):
            module = module_name(path, package)
            if name in found:
                raise IndexProblem(f"{name!r} is offered by {found[name].module} and {module}")
            found[name] = Public(name, module, _kind(tree, name))
    return dict(sorted(found.items()))


def collisions(package: Path = ROOT / "blocks") -> list[str]:
    """The public names that are a file's or a folder's too: importing that would hide the name."""
    taken = {p.stem: p for p in package.rglob("*") if p.is_dir() or p.suffix == ".py"}
    return [
        f"{name!r} of {item.module} is also the name of {taken[name].relative_to(package.parent)}"
        for name, item in public(package).items()
        if name in taken
    ]


HEAD = '''\
# fmt: off
"""Take any published architecture apart, put another part in, load the public weights.

Written by `make index` from the `__all__` of every module: edit the modules, never this file.
A name is imported when it is first used, so that `import blocks` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks._version import __version__ as __version__

if TYPE_CHECKING:
    __all__: list[str]
'''

TAIL = """
    def __getattr__(name: str):
        from importlib import import_module

        if name in _SUBMODULES:
            return import_module(f"blocks.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'blocks' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOME[name]), name)
        return value

    def __dir__() -> list[str]:
        return __all__
"""


def render(package: Path = ROOT / "blocks") -> str:
    """The text of the package's `__init__.py`."""
    names = public(package)
    submodules = [path.stem for path in package.glob("testing*") if path.suffix in ("", ".py")]
    lines = [f"    from blocks import {name} as {name}" for name in submodules]
    for item in sorted(names.values(), key=lambda item: (item.module, item.name)):
        lines.append(f"    from {item.module} import {item.name} as {item.name}")
    home = [f'        "{item.name}": "{item.module}",' for item in names.values()]
    table = ["else:", f"    _SUBMODULES = {tuple(submodules)!r}", "    _HOME = {", *home, "    }"]
    everything = '    __all__ = sorted([*_HOME, *_SUBMODULES, "__version__"])'
    return HEAD + "\n".join([*lines, *table, everything]) + "\n" + TAIL


def main(arguments: list[str]) -> int:
    target = ROOT / "blocks" / "__init__.py"
    try:
        text, problems = render(), collisions()
    except (IndexProblem, SyntaxError) as problem:
        print(f"index: {problem}", file=sys.stderr)
        return 1
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        if "--check" in arguments:
            problems.append("blocks/__init__.py is stale: run `make index`")
        else:
            target.write_text(text, encoding="utf-8")
            print("wrote blocks/__init__.py")
    for problem in problems:
        print(f"index: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
