"""Writes the pages that follow from the code: one a block, one a family, what is supported, the
reference, the nav.

They are files on disk because not every builder of the site keeps pages that a plugin makes.
`--check` writes nothing and fails where a page is stale.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from blockpages import block_page, gallery_page
from index import BLOCK_FOLDERS, ROOT, Public, is_block, public

BEGIN, END = "  # written by `make index`: begin\n", "  # written by `make index`: end\n"


def families(package: Path) -> dict[str, Path]:
    """Each family's file, by the `model_type` it is found by."""
    files = sorted((package / "families").glob("*.py"))
    return {path.stem: path for path in files if not path.stem.startswith("_")}


def _identifiers(node: ast.AST) -> set[str]:
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return names | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


def helpers(package: Path) -> dict[str, set[str]]:
    """What each function that families share is written with."""
    trees = [ast.parse(p.read_text("utf-8")) for p in (package / "families").glob("_*.py")]
    named = [node for tree in trees for node in tree.body if hasattr(node, "name")]
    return {node.name: _identifiers(node) for node in named}  # type: ignore[attr-defined]  # filtered above


def mentioned(path: Path, shared: dict[str, set[str]]) -> set[str]:
    """The identifiers of a family's file and of the shared functions it calls."""
    found, new = set(), _identifiers(ast.parse(path.read_text("utf-8")))
    while new:
        found |= new
        new = set().union(*(shared.get(name, set()) for name in new)) - found
    return found


def _links(names: Iterable[str], folder: str) -> str:
    return ", ".join(f"[{name}](../{folder}/{name}.md)" for name in names)


def family_page(name: str, uses: list[str]) -> str:
    use = f"## Blocks it is made of\n\n{_links(uses, 'blocks')}\n" if uses else ""
    options = "    options:\n      heading_level: 1\n      members: false\n"
    return f"::: blocks.families.{name}\n{options}\n{use}".rstrip() + "\n"


def reference_page(items: list[Public]) -> str:
    text = "# Reference\n\nEvery public name that is not a block, by the module it lives in.\n"
    items = sorted(items, key=lambda item: (item.module, item.name))
    for module, group in groupby(items, lambda item: item.module):
        text += f"\n## {module}\n"
        for item in group:
            text += f"\n::: {module}.{item.name}\n"
    return text


def parity_page(measured: Path) -> str:
    """What the last run of the parity battery found: one row a family, then one a variant."""
    data = json.loads(measured.read_text(encoding="utf-8"))
    versions = " and ".join(f"{name} {version}" for name, version in data["versions"].items())
    text = (
        "# Parity\n\nThe largest difference between our logits and the reference's, as a share of "
        "their standard deviation, in float32 with every parameter drawn anew. Every variant here "
        "also passes these tests: names and values of the tensors go both ways, `export` loads in "
        "the reference with equal logits, and a ragged batch equals its rows alone; where a model "
        "writes, cached equals uncached, and what it writes is what the reference writes, unless "
        f"the case says why not. Written by the test run, with {versions}.\n\n"
        "| family | variants | largest difference |\n|---|---|---|\n"
    )
    rows = {f: list(g) for f, g in groupby(data["rows"], lambda row: row["family"])}
    for family, group in rows.items():
        largest = max(row["difference"] for row in group)
        page = family.replace("-", "_")  # as the family's file is named
        text += f"| [{family}](families/{page}.md) | {len(group)} | {largest:.1e} |\n"
    text += "\n## By variant\n\n| family | variant | difference |\n|---|---|---|\n"
    for row in data["rows"]:
        text += f"| {row['family']} | {row['variant']} | {row['difference']:.1e} |\n"
    return text


def swaps_page(tried: Path) -> str:
    """Every mixer in every decoder family: how much of it the family's own mixer went into."""
    data = json.loads(tried.read_text(encoding="utf-8"))
    count = len(data["mixers"]) * len(data["rows"])
    text = (
        f"# Every mixer in every family\n\nEach of {len(data['mixers'])} kinds of mixers was put "
        f"in the place of the first layer's own in each of {len(data['rows'])} families of "
        f"decoders, with tiny sizes and every parameter drawn anew. All {count} models ran, "
        "had gradients, generated, and gave the same logits after they were saved and loaded. A "
        "cell is the share "
        "of the new mixer's parameters that are copied or converted, with sizes that don't always "
        "suit; the rest is drawn by its own rule. Written by `python tools/swaps.py`.\n\n"
        f"| family | its mixer | {' | '.join(data['mixers'])} |\n|---|---|"
        f"{'---|' * len(data['mixers'])}\n"
    )
    for row in data["rows"]:
        page = f"[{row['family']}](families/{row['family'].replace('-', '_')}.md)"
        shares = " | ".join(f"{share:.0%}" for share in row["carried"])
        text += f"| {page} | {row['mixer']} | {shares} |\n"
    return text


def causal_types_page(listed: Path, known: Iterable[str]) -> str:
    """Each type of causal language model that the reference has: a family, or why it is none."""
    data, known = json.loads(listed.read_text(encoding="utf-8")), set(known)
    rows = data["unless_supported"]
    pages_of = {name: f"families/{name.replace('-', '_')}.md" for name in rows}
    there = {name for name in rows if name.replace("-", "_") in known}
    supported = there - set(data["supported_otherwise"])
    text = (
        "# Causal language models\n\nEvery `model_type` that the reference, transformers "
        f"{data['transformers']}, has as a causal language model: {len(supported)} of {len(rows)} "
        "are supported; of each other one the table says what it needs.\n\n"
        "| model_type | supported |\n|---|---|\n"
    )
    for name, why in rows.items():
        as_is = f", which has [a family]({pages_of[name]})" if name in there else ""
        said = f"[yes]({pages_of[name]})" if name in supported else f"no: {why}{as_is}"
        text += f"| `{name}` | {said} |\n"
    return text


def nav(items: list[Public], names: Iterable[str]) -> str:
    lines = ["  - Blocks:\n"]
    for folder in BLOCK_FOLDERS:
        inside = [item.name for item in items if item.module.split(".")[1] == folder]
        lines += [f"      - {folder}:\n"] if inside else []
        lines += [f"          - {name}: blocks/{name}.md\n" for name in inside]
    family_lines = [f"      - {name}: families/{name}.md\n" for name in names]
    return "".join(lines + (["  - Families:\n", *family_lines] if family_lines else []))


def pages(root: Path = ROOT) -> dict[Path, str]:
    """The text of every written page, and of mkdocs.yml with its nav in step."""
    docs, names = root / "docs", public(root / "blocks")
    blocks = [item for item in names.values() if is_block(item)]
    shared, uses = helpers(root / "blocks"), {}
    shown = json.loads((docs / "gallery.json").read_text(encoding="utf-8"))
    for family, path in families(root / "blocks").items():
        names_there = shown["families"].get(family) or mentioned(path, shared)
        uses[family] = [block.name for block in blocks if block.name in names_there]
    out = {docs / "reference.md": reference_page([i for i in names.values() if not is_block(i)])}
    for item in blocks:
        used_by = _links((family for family in uses if item.name in uses[family]), "families")
        out[docs / "blocks" / f"{item.name}.md"] = block_page(item, blocks, used_by, shown)
    out[docs / "gallery.md"] = gallery_page(blocks, shown)
    for family in uses:
        out[docs / "families" / f"{family}.md"] = family_page(family, uses[family])
    measured = docs / "parity.json"
    if measured.exists():
        out[docs / "parity.md"] = parity_page(measured)
    tried = docs / "swaps.json"
    if tried.exists():
        out[docs / "swaps.md"] = swaps_page(tried)
    listed = docs / "causal_types.json"
    if listed.exists():
        out[docs / "causal-types.md"] = causal_types_page(listed, uses)
    config = (root / "mkdocs.yml").read_text(encoding="utf-8")
    before, _, rest = config.partition(BEGIN)
    after = rest.partition(END)[2]
    out[root / "mkdocs.yml"] = before + BEGIN + nav(blocks, uses) + END + after
    return out


def stale(out: dict[Path, str], root: Path = ROOT) -> Iterator[Path]:
    """What must be written anew, and what no longer has a reason to be there."""
    for path, text in out.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            yield path
    for folder in ("blocks", "families"):
        yield from (p for p in sorted((root / "docs" / folder).glob("*.md")) if p not in out)


def main(arguments: list[str]) -> int:
    out = pages()
    changed = list(stale(out))
    if "--check" in arguments:
        for path in changed:
            print(f"{path.relative_to(ROOT)} is stale: run `make index`", file=sys.stderr)
        return 1 if changed else 0
    for path in changed:
        if path in out:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(out[path], encoding="utf-8")
        else:
            path.unlink()
    print(f"{len(changed)} pages written or removed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
