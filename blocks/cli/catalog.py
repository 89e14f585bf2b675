"""`blocks list`: the families and the blocks there are."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import click

from blocks.cli.options import as_json, json_text
from blocks.cli.standin import light

FOLDERS = (
    *("attention", "positions", "norm", "mlp", "moe", "ssm", "recurrent", "conv", "embedding"),
    *("wiring", "heads", "models"),
)


@click.command("list")
@click.argument("what", type=click.Choice(["families", "blocks"]), default="families")
@as_json
def catalog(what: str, as_json: bool) -> None:
    """List the families that load, or the blocks."""
    from blocks.hub.columns import columns

    rows = families() if what == "families" else public_blocks()
    if as_json:
        click.echo(json_text(rows))
    elif rows:
        head = [name.replace("_", " ").upper() for name in rows[0]]
        cells = [[v if isinstance(v, str) else ", ".join(v) for v in row.values()] for row in rows]
        click.echo(columns([head, *cells]))


@light()
def families() -> list[dict[str, Any]]:
    """Every model_type with the architectures that it serves."""
    from blocks.families import family_of, model_types

    found = [family_of(name) for name in model_types()]
    return [{"model_type": f.model_type, "architectures": list(f.architectures)} for f in found]


def public_blocks() -> list[dict[str, str]]:
    """Every public block and assembly with a line about it, read off the source."""
    package, rows = Path(__file__).resolve().parents[1], []
    for folder in FOLDERS:
        for path in sorted((package / folder).glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            kinds = [n for n in tree.body if isinstance(n, ast.ClassDef) and _public(n, tree)]
            for node in kinds:
                # Where a file has one block, its own docstring is the sentence about it.
                told = ast.get_docstring(tree if len(kinds) == 1 else node) or ""
                line = " ".join(told.split("\n\n")[0].split())
                rows.append({"block": node.name, "kind": folder, "description": line})
    return rows


def _public(node: ast.ClassDef, file: ast.Module) -> bool:
    """What a file offers of modules and the frozen values they take; not what they pass around."""
    offered = next((n for n in file.body if "__all__" in ast.unparse(n).split(" ")[0]), None)
    bases = {ast.unparse(base) for base in node.bases}
    record = "NamedTuple" in bases or (
        any("dataclass" in ast.unparse(mark) for mark in node.decorator_list)
        and not any("frozen=True" in ast.unparse(mark) for mark in node.decorator_list)
    )
    return offered is not None and repr(node.name) in ast.unparse(offered) and not record
