"""Writes docs/performance.md and its pictures from what the benchmarks found.

    python examples/benchmarks/report.py decode.json load.json mixture.json long.json

Needs `pip install matplotlib` for the pictures; without it the page is written alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from _pictures import bars, curves

HEAD = """# How fast it is

Measured by the scripts in `examples/benchmarks/`, on one machine: what counts are the ratios. All
sides of a ratio took turns in one run, so that a busy moment of the machine slows all of them; each
line gives the median of the rounds, with the smallest and the largest. The limits are what the
machine itself did in the same minutes: bytes a second of a plain sum over 400 MB, and FLOPs a
second of a product of two large matrices.

```bash
{commands}
python examples/benchmarks/report.py {files}
```

`blocks bench MODEL` measures a model of yours in the same way.

**The others.** transformers runs the same weights in the same process. litgpt, x-transformers and
llama.cpp run in processes of their own, with drawn weights of the same shape; nothing of theirs or
of transformers is compiled by torch. litgpt writes with its own loop, which computes the logits of
every token that it reads; all others compute those of the last one. x-transformers has no LLaMA to
the letter: it rotates pairs of neighbours, and gate and up share a matrix with biases; its decoder
has 0.05 % more parameters, and the same work in the products. llama.cpp runs with its defaults, but
for its file, which is read and not mapped. A side is left out where its library has no such model
or loads no such file.
"""


def page(found: list[dict[str, Any]], files: list[Path], pictures: dict[str, bool]) -> str:
    """The page."""
    commands = [one["command"] for one in found]
    text = HEAD.format(commands="\n".join(commands), files=" ".join(file.name for file in files))
    if pictures["performance.svg"]:
        text += "\n![Ratios of the benchmarks](performance.svg)\n"
    for one in found:
        text += f"\n## {one['name'].replace('_', ' ').capitalize()}\n\n{about(one['about'])}\n\n"
        long = [row for row in one["rows"] if "context" in row]
        if long and pictures["performance-long.svg"]:
            text += "![Long texts](performance-long.svg)\n\n"
        text += "".join(
            by_context(long, what) for what in dict.fromkeys(r["measure"] for r in long)
        )
        text += listed([row for row in one["rows"] if "context" not in row])
    return text


def listed(rows: list[dict[str, Any]]) -> str:
    """A table with a line for each figure."""
    text = "| what | median | smallest | largest |\n|---|---|---|---|\n"
    for row in rows:
        cells = [figure(row[name], row["unit"]) for name in ("median", "least", "most")]
        strong = "**" if row.get("ratio") else ""
        text += f"| {row['what']} | {strong}{cells[0]}{strong} | {cells[1]} | {cells[2]} |\n"
    return text if rows else ""


def by_context(rows: list[dict[str, Any]], what: str) -> str:
    """A table of one measure with a line for each side and a column for each context."""
    rows = [row for row in rows if row["measure"] == what]
    contexts = list(dict.fromkeys(row["context"] for row in rows))
    unit = next(row["unit"] for row in rows if not row.get("ratio"))
    text = f"| {what}, {unit} | " + " | ".join(f"{one:,} tokens" for one in contexts) + " |\n"
    text += "|---" * (len(contexts) + 1) + "|\n"
    for side in dict.fromkeys(row["side"] for row in rows):
        there = {row["context"]: row for row in rows if row["side"] == side}
        cells = [spread(there[one]) if one in there else "" for one in contexts]
        text += f"| {side} | " + " | ".join(cells) + " |\n"
    return text + "\n"


def spread(row: dict[str, Any]) -> str:
    """Median, smallest and largest in a cell; of one figure it alone."""
    unit = "×" if row.get("ratio") else ""
    middle, least, most = (figure(row[name], unit) for name in ("median", "least", "most"))
    strong = f"**{middle}**" if row.get("ratio") else middle
    return strong if row["least"] == row["most"] else f"{strong} ({least} to {most})"


def about(facts: dict[str, Any]) -> str:
    """Shape, dtype, threads and versions in a sentence."""
    parts = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {one}" for key, one in value.items())
            parts.append(f"{name}: {value}")
        else:
            parts.append(f"{name} {value}")
    return "; ".join(parts) + "."


def figure(value: float, unit: str) -> str:
    """A number with three digits."""
    if value >= 1e9:
        return f"{value / 1e9:,.1f} G"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--into", default="docs", type=click.Path(file_okay=False, path_type=Path))
def main(files: tuple[Path, ...], into: Path) -> None:
    """Write the page from FILES, in their order."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    drawn = {
        name: draw(found, into / name)
        for name, draw in (("performance.svg", bars), ("performance-long.svg", curves))
    }
    (into / "performance.md").write_text(page(found, list(files), drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
