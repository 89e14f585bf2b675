"""Writes docs/performance.md and its picture from what the benchmarks found.

    python examples/benchmarks/report.py decode.json load.json mixture.json

Needs `pip install matplotlib` for the picture; without it the page is written alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

HEAD = """# How fast it is

Measured by the scripts in `examples/benchmarks/`, on one machine: what counts are the ratios. Both
sides of a ratio ran in the same process run, turn about, so that a busy moment of the machine slows
both; each line gives the median of the rounds, with the smallest and the largest. The limits are
what the machine itself did in the same minutes: bytes a second of a plain sum over 400 MB, and
FLOPs a second of a product of two large matrices.

```bash
{commands}
python examples/benchmarks/report.py {files}
```

`blocks bench MODEL` measures a model of yours in the same way.
"""


def page(found: list[dict[str, Any]], files: list[Path], picture: str | None) -> str:
    """The page."""
    commands = [one["command"] for one in found]
    text = HEAD.format(commands="\n".join(commands), files=" ".join(file.name for file in files))
    if picture:
        text += f"\n![Ratios of the benchmarks]({picture})\n"
    for one in found:
        text += f"\n## {one['name'].replace('_', ' ').capitalize()}\n\n{about(one['about'])}\n\n"
        text += "| what | median | smallest | largest |\n|---|---|---|---|\n"
        for row in one["rows"]:
            cells = [figure(row[name], row["unit"]) for name in ("median", "least", "most")]
            strong = "**" if row.get("ratio") else ""
            text += f"| {row['what']} | {strong}{cells[0]}{strong} | {cells[1]} | {cells[2]} |\n"
    return text


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


def draw(found: list[dict[str, Any]], file: Path) -> bool:
    """The ratios as bars with their spread; whether there is what it takes."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    rows = [(one["name"], row) for one in found for row in one["rows"] if row.get("ratio")]
    if not rows:
        return False
    plt.rcParams.update({"svg.hashsalt": "blocks", "svg.fonttype": "none", "font.size": 8})
    size = (8, 0.8 + 0.22 * len(rows))
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    medians = [row["median"] for _, row in rows]
    below = [row["median"] - row["least"] for _, row in rows]
    above = [row["most"] - row["median"] for _, row in rows]
    places = range(len(rows))
    axis.barh(places, medians, xerr=(below, above), color="#4878a8", ecolor="#303030")
    axis.set_yticks(places, [f"{name}: {row['what']}" for name, row in rows])
    axis.axvline(1, color="black", linewidth=0.8)
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    axis.set(xlabel="ratio: median, smallest and largest")
    figure.savefig(file, metadata={"Date": None})
    return True


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--into", default="docs", type=click.Path(file_okay=False, path_type=Path))
def main(files: tuple[Path, ...], into: Path) -> None:
    """Write the page from FILES, in their order."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    drawn = draw(found, into / "performance.svg")
    text = page(found, list(files), "performance.svg" if drawn else None)
    (into / "performance.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
