"""Arrows point one way, nothing goes in circles, and importing stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from index import BLOCK_FOLDERS, ROOT, module_name, public

from tests.clock import slower

PACKAGE = ROOT / "blocks"
FILES = {module_name(p, PACKAGE): p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE}
FILES |= {module_name(p, PACKAGE): p for p in sorted(PACKAGE.glob("*.py")) if p.stem != "__init__"}
HOMES = {f"blocks.{name}": item.module for name, item in public().items()}
STOREYS = (
    {"ops"},
    set(BLOCK_FOLDERS),
    {"models", "carry"},
    {"audio", "families", "hub", "text"},
    {"generation", "speed", "surgery", "testing", "training"},
    {"cli", "__main__"},
)
WITHOUT_TORCH = (
    "errors",
    "spec",
    "hub.source",
    "hub.headers",
    "hub.config",
    "hub.keys",
    "cli.main",
)


def storey(module: str) -> int:
    """How high a module stands: errors, spec, step, state and their helpers are the ground."""
    top = module.split(".")[1]
    for height, rooms in enumerate(STOREYS, start=1):
        if top in rooms:
            return height
    assert (PACKAGE / f"{top}.py").exists(), f"blocks/{top}/ has no storey: add it to the test"
    return 0


def only_for_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def targets(node: ast.AST, module: str) -> list[str]:
    """The modules of the package that one import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] == "blocks"]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        base = ".".join([*module.split(".")[: -node.level], *filter(None, [node.module])])
    if base.split(".")[0] != "blocks":
        return []
    inner = [f"{base}.{alias.name}" for alias in node.names]
    inner = [HOMES.get(name, name) for name in inner]  # `from blocks import X` is X's own module
    return [name if name in FILES else base for name in inner]


def imports(tree: ast.AST, module: str, inside: bool) -> Iterator[tuple[str, bool]]:
    """(module, whether inside a function) of every import that runs, not only for checkers."""
    for node in ast.iter_child_nodes(tree):
        yield from ((name, inside) for name in targets(node, module))
        if only_for_checkers(node):
            continue
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports(node, module, inside or function)


def graph() -> dict[str, set[tuple[str, bool]]]:
    return {m: set(imports(ast.parse(p.read_text()), m, False)) for m, p in FILES.items()}


def test_arrows_point_one_way() -> None:
    wrong = [
        f"{module} imports {target}"
        for module, found in graph().items()
        for target, _ in found
        if target != "blocks" and storey(target) > storey(module)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_library_says_what_it_imports() -> None:
    wrong = [
        f"{module} imports the whole package, so that its arrows can't be seen"
        for module, found in graph().items()
        if ("blocks", False) in found and storey(module) < 5
    ]
    assert not wrong, "\n".join(wrong)


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Some circle in the graph, or nothing."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            if found := visit(target, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in edges if (found := visit(module, []))), [])


def test_no_circles() -> None:
    edges = {m: {t for t, inside in found if not inside} for m, found in graph().items()}
    assert not circle(edges)


def test_the_checks_see_what_they_look_for() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    code = "from .. import spec\nimport blocks.cli.main\ndef f():\n    import blocks\n"
    code += "if TYPE_CHECKING:\n    import blocks.state\nfrom blocks import State\n"
    found = set(imports(ast.parse(code), "blocks.ops.attend", False))
    assert found == {
        ("blocks.spec", False),
        ("blocks.cli.main", False),
        ("blocks", True),
        ("blocks.state", False),
    }
    assert storey("blocks.cli.main") > storey("blocks.ops.attend") > storey("blocks.spec")


def fresh(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_blocks_is_cheap() -> None:
    code = (
        "import time; t = time.process_time(); import blocks; print(time.process_time() - t);"
        "import sys; assert not {'torch', 'numpy', 'huggingface_hub'} & set(sys.modules)"
    )
    assert min(float(fresh(code)) for _ in range(3)) < 0.15 * slower()


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_imports_without_torch(module: str) -> None:
    if not (PACKAGE / Path(*module.split("."))).with_suffix(".py").exists():
        pytest.skip(f"blocks.{module} is not there")
    fresh(f"import blocks.{module}, sys; assert 'torch' not in sys.modules")
