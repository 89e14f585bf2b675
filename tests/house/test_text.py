"""Sizes of files, words of constructors, and what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
from index import ROOT, is_block, public

PACKAGE = ROOT / "blocks"
GENERATED = {PACKAGE / "__init__.py"}
PYTHON = [
    path
    for folder in ("blocks", "tests", "tools", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path not in GENERATED
]


BLOCK_FILES = {
    ROOT / Path(*item.module.split(".")).with_suffix(".py")
    for item in public().values()
    if is_block(item)
}


def most_lines(path: Path) -> int:
    if path.parent == PACKAGE / "families" and not path.name.startswith("_"):
        return 60
    return 120 if path in BLOCK_FILES else 300


def test_files_are_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    long = [
        f"{path.relative_to(ROOT)}: {n} lines, at most {most_lines(path)}"
        for path, n in lines.items()
        if n > most_lines(path)
    ]
    assert not long, "\n".join(long)


def constructor(node: ast.ClassDef) -> list[str]:
    """The names a class takes when made: its __init__'s, or its fields where it is a dataclass."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            a = part.args
            return [arg.arg for arg in [*a.posonlyargs, *a.args, *a.kwonlyargs]][1:]
    if any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        fields = (p for p in node.body if isinstance(p, ast.AnnAssign))
        return [p.target.id for p in fields if "ClassVar" not in ast.unparse(p.annotation)]  # type: ignore[union-attr]  # a field is a name
    return []


def test_constructors_speak_the_glossary() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)
    known = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    unknown = []
    for item in filter(is_block, public().values()):
        path = ROOT / Path(*item.module.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        node = next(n for n in tree.body if getattr(n, "name", None) == item.name)
        assert isinstance(node, ast.ClassDef)
        unknown += [f"{item.name}({n}=...)" for n in constructor(node) if n not in known]
    assert not unknown, f"not in docs/glossary.md: {', '.join(unknown)}"


def repository_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


# In two pieces, so that this file doesn't hold what it forbids.
MACHINE = re.compile(
    r"(?<![\w.:/\-])/(?:" + "root|work|opt|mnt|srv|home/\\w+|Users/\\w+" + r")/\w|[A-Z]:\\Users"
)


def test_no_file_holds_a_path_of_a_machine() -> None:
    wrong = []
    for path in repository_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        wrong += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(lines, start=1)
            if MACHINE.search(line) or f"{ROOT}/" in line
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("head", ["root", "work", "home/anna", "Users/anna"])
def test_a_path_of_a_machine_is_seen(head: str) -> None:
    assert MACHINE.search(f"see '/{head}/file.py'")
    assert not MACHINE.search(f"see https://example.org/{head}/file.py and blocks/{head}/file.py")
