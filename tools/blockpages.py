"""The page of a block, and the gallery of all: made of docs/gallery.json and docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from costs import COSTS, Cost
from index import BLOCK_FOLDERS, ROOT, Public

_YEAR = re.compile(r"\b(1[89]\d\d|20\d\d)\b")
_ARXIV = re.compile(r"arXiv:((\d\d)\d\d\.\d{4,5}|[a-z-]+/(\d\d)\d{5})")
_MIXERS = ("attention", "ssm", "recurrent", "conv")
# What a slot is for, by the sizes that its parent gives, where those say it.
_SLOTS = {
    ("head_dim", "heads", "kv_heads"): "what happens to queries and keys (`qk`)",
    ("heads",): "what happens to scores (`scores`)",
    ("dim", "experts", "top_k"): "a router",
    ("vocab", "dim"): "an embedding",
    ("dim", "vocab"): "a head over a vocabulary",
    ("channels", "dim"): "what makes frames narrower",
}
_COLUMNS = 3  # of the gallery
_BASES = {"Mask": "a mask", "Scaling": "a scaling of RoPE", "Marks": "what marks tokens"}

# Blocks that their shapes and folders tell wrongly.
_KNOWN = {
    "CrossAttention": "what reads another sequence",
    "Molecules": None,
    "RWKVChannelMix": "an MLP",
    "XIELU": "an activation",
}

Rows = dict[str, dict[str, Any]]


@cache
def _class(item: Public) -> ast.ClassDef:
    file = ROOT / Path(*item.module.split(".")).with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == item.name)


def docstring(item: Public) -> str:
    return ast.get_docstring(_class(item)) or ""


def year(item: Public) -> int | None:
    """When the block was first published, as its docstring says."""
    text = docstring(item).partition("Args:")[0]
    years = [int(found) for found in _YEAR.findall(_ARXIV.sub("", text))]
    for _, two, old in _ARXIV.findall(text):
        short = int(two or old)
        years.append(short + (1900 if short > 80 else 2000))
    return min(years, default=None)


def papers(item: Public) -> list[str]:
    """Links to its papers."""
    found = dict.fromkeys(one[0] for one in _ARXIV.findall(docstring(item)))
    return [f"[arXiv:{number}](https://arxiv.org/abs/{number})" for number in found]


def folder(item: Public) -> str:
    return item.module.split(".")[1]


def role(item: Public, rows: Rows) -> str | None:
    """What a block is for: blocks of one role can take each other's place."""
    base = next((b.id for b in _class(item).bases if isinstance(b, ast.Name)), "")
    if base in _BASES and item.name not in _BASES:
        return _BASES[base]
    if item.name in _KNOWN:
        return _KNOWN[item.name]
    row = rows.get(item.name)
    if row is None or "sizes" not in row or folder(item) in ("wiring", "models"):
        return None
    sizes = tuple(row["sizes"])
    if sizes == ("dim",) and row["keeps"]:
        if folder(item) in _MIXERS:
            return "a mixer of tokens" if row["mixes"] else None
        return {"mlp": "an MLP", "moe": "an MLP", "norm": "a norm"}.get(folder(item))
    return _SLOTS.get(sizes)


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _letters(cost: Cost) -> str:
    return ", ".join(f"{letter} = {value:,}" for letter, value in cost.letters.items())


def _cost(item: Public, row: dict[str, Any], context: int) -> str:
    cost = COSTS.get(item.name)
    each, fixed = row["state"]
    state = f"{_number(each)} bytes a token" if each else ""
    state += (" and " if each and fixed else "") + (f"{_number(fixed)} bytes" if fixed else "")
    flops = "depends on what it reads" if row["flops"] is None else _number(row["flops"])
    formulas = ["", "", ""]
    if cost:
        remembered = [
            f"{f} numbers{w}" for f, w in ((cost.state, " a token"), (cost.fixed, "")) if f
        ]
        formulas = [cost.parameters, cost.flops if row["flops"] else "", " and ".join(remembered)]
    lines = [
        ("parameters", formulas[0], _number(row["parameters"])),
        ("FLOPs of a new token", formulas[1], flops),
        ("state", formulas[2], state or "none"),
    ]
    told = f", with D = 1,024, {_letters(cost)}".rstrip(", ") if cost else ""
    told = told if any("D" in f for f in formulas) or not cost else f", with {_letters(cost)}"
    small = "" if row["typical"] else " It is a small one, as tests build it."
    seen = f" S is {context:,} tokens." if cost and "S" in "".join(formulas) else ""
    table = "\n".join(f"| {name} | {formula} | {figure} |" for name, formula, figure in lines)
    return (
        f"## Cost\n\nOf `{row['example']}` in float32{told}.{seen}{small}\n\n"
        f"| | formula | here |\n|---|---|---|\n{table}\n\n"
    )


def _paper(item: Public) -> str:
    links, when = papers(item), year(item)
    if not links and when is None:
        return ""
    since = f"Since {when}" if when else "See"
    return f"{since}{': ' * bool(links and when)}{' ' * (not when)}{', '.join(links)}.\n\n"


def _places(item: Public, items: Iterable[Public], rows: Rows) -> str:
    mine = role(item, rows)
    others = [one for one in items if one.name != item.name and mine and role(one, rows) == mine]
    if not others:
        return ""
    carried = rows.get(item.name, {}).get("carries", {})
    listed = ", ".join(f"[{one.name}]({one.name}.md)" for one in others)
    text = f"## What it can replace\n\nIt is {mine}. So are {listed}.\n\n"
    if carried:
        alike: dict[str, list[str]] = {}
        for name, words in carried.items():
            alike.setdefault(words, []).append(f"[{name}]({name}.md)")
        told = "\n".join(f"- {', '.join(names)}: {words}" for words, names in alike.items())
        text += f"`swap` carries weights over to it from:\n\n{told}\n\n"
    return text


def block_page(item: Public, items: list[Public], used_by: str, data: dict[str, Any]) -> str:
    """The page of one block.

    Args:
        item: the block.
        items: all blocks.
        used_by: links to the families that use it.
        data: what docs/gallery.json holds.
    """
    rows: Rows = data["blocks"]
    row = rows.get(item.name)
    text = f"::: {item.module}.{item.name}\n    options:\n      heading_level: 1\n\n"
    text += _paper(item)
    if row and "example" not in row:
        text += f"![{row['title']}]({item.name}.svg)\n\n{row['title']}: who looks, downwards, at "
        text += "whom, to the right.\n\n"
    elif row:
        text += (
            f"## What flows where\n\n![{item.name}, from its input {row['input']} to its output "
            f"{row['output']}]({item.name}.svg)\n\n{_cost(item, row, data['context'])}"
        )
    text += _places(item, items, rows)
    text += f"## Families that use it\n\n{used_by}\n" if used_by else ""
    return text.rstrip() + "\n"


def gallery_page(items: list[Public], data: dict[str, Any]) -> str:
    """All blocks with small pictures, by folder, the oldest first."""
    rows = data["blocks"]
    text = (
        "# Gallery\n\nEvery block with what flows through it, by folder, the oldest first. Its "
        "page has the equation, the picture, what it costs, what it can replace, and the families "
        "that use it. The pictures are made from real ones: each was called once.\n"
    )
    items = sorted(items, key=lambda item: BLOCK_FOLDERS.index(folder(item)))
    for name, group in groupby(items, folder):
        ordered = sorted(group, key=lambda item: (year(item) or 9999, item.name))
        cells = [_thumbnail(item, item.name in rows) for item in ordered]
        cells += [""] * (-len(cells) % _COLUMNS)
        text += f"\n## {name}\n\n" + "| " * _COLUMNS + "|\n" + "|---" * _COLUMNS + "|\n"
        for at in range(0, len(cells), _COLUMNS):
            text += f"| {' | '.join(cells[at : at + _COLUMNS])} |\n"
    return text


def _thumbnail(item: Public, drawn: bool) -> str:
    when = f" <small>{year(item)}</small>" if year(item) else ""
    # A background, as builders differ in whether they change the address of an <img>.
    picture = f"background:url(../blocks/{item.name}.svg) center/contain no-repeat"
    shown = f'<span style="display:block;width:190px;height:150px;{picture}"></span>'
    return f"{shown if drawn else ''}[{item.name}](blocks/{item.name}.md){when}"
