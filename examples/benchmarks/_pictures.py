"""The pictures of the page: ratios as bars, and what grows with the length of a text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

COLOURS = {
    "transformers": "#4878a8",
    "litgpt": "#59a14f",
    "x-transformers": "#b07aa1",
    "llama.cpp": "#e08a2e",
    "itself or a limit": "#8c8c8c",
}
Found = list[dict[str, Any]]


def pyplot() -> Any:
    """Matplotlib, where it is installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "blocks", "svg.fonttype": "none", "font.size": 8})
    return plt


def other(what: str) -> str:
    """Which library a ratio is against."""
    _, _, against = what.rpartition(" / ")
    names = [name for name in COLOURS if re.match(rf"{re.escape(name)}\b", against)]
    return names[0] if names else "itself or a limit"


def bars(found: Found, file: Path) -> bool:
    """The ratios with their spread, a panel for each benchmark; whether there is what it takes."""
    plt = pyplot()
    panels = {
        f"{i} {one['name']}": [r for r in one["rows"] if r.get("ratio") and "context" not in r]
        for i, one in enumerate(found)
    }
    panels = {name: rows for name, rows in panels.items() if rows}
    if not plt or not panels:
        return False
    heights = [len(rows) + 2 for rows in panels.values()]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(8, 0.8 + 0.17 * sum(heights)),
        height_ratios=heights,
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, (name, rows) in zip(axes[:, 0], panels.items(), strict=True):
        medians = [row["median"] for row in rows]
        below = [row["median"] - row["least"] for row in rows]
        above = [row["most"] - row["median"] for row in rows]
        places = range(len(rows))
        colours = [COLOURS[other(row["what"])] for row in rows]
        # from 1 on, so that what is faster goes to the right and what is slower to the left
        axis.barh(places, [one - 1 for one in medians], left=1, color=colours)
        axis.errorbar(medians, places, xerr=(below, above), fmt="none", ecolor="#303030")
        axis.set_yticks(places, [label(row) for row in rows])
        axis.set_title(name.partition(" ")[2].replace("_", " "), loc="left", weight="bold")
        axis.axvline(1, color="black", linewidth=0.8)
        axis.invert_yaxis()
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.grid(axis="x", alpha=0.3)
        axis.margins(y=0.6 / len(rows))
    shown = {other(row["what"]) for rows in panels.values() for row in rows}
    patches = {name: plt.Rectangle((0, 0), 1, 1, color=COLOURS[name]) for name in COLOURS}
    there = {name: patch for name, patch in patches.items() if name in shown}
    figure.legend(there.values(), there.keys(), loc="outside upper center", ncols=5)
    axes[-1, 0].set_xlabel("ratio: median, smallest and largest")
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return True


def label(row: dict[str, Any]) -> str:
    """What a bar is, and which way is the better one where it is the unusual."""
    return row["what"] + (" (less is better)" if row.get("less") else "")


def curves(found: Found, file: Path) -> bool:
    """Reading, writing and memory over the length of a text; whether there is what it takes."""
    plt = pyplot()
    rows = [r for one in found for r in one["rows"] if "context" in r and not r.get("ratio")]
    if not plt or not rows:
        return False
    from matplotlib.ticker import LogLocator, NullLocator

    measures = list(dict.fromkeys(row["measure"] for row in rows))
    figure, axes = plt.subplots(1, len(measures), figsize=(10, 3.6), layout="constrained")
    for axis, measure in zip(axes, measures, strict=True):
        these = [row for row in rows if row["measure"] == measure]
        for side in dict.fromkeys(row["side"] for row in these):
            line = [row for row in these if row["side"] == side]
            spread = [
                [row["median"] - row["least"] for row in line],
                [row["most"] - row["median"] for row in line],
            ]
            x, y = [row["context"] for row in line], [row["median"] for row in line]
            axis.errorbar(x, y, yerr=spread, label=side, capsize=2, **style(side))
        axis.set(xscale="log", yscale="log", xlabel="tokens of the text", ylabel=these[0]["unit"])
        axis.set_xticks(x, [f"{one:,}" for one in x])
        axis.set_xticks([], minor=True)
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_title(f"{measure} a long text")
        axis.grid(alpha=0.3)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return True


def style(side: str) -> dict[str, Any]:
    """A colour for each library, a dashed line for a window, a square for pieces."""
    colours = {"blocks": "#c03a3a", **COLOURS}
    return {
        "color": next((colours[name] for name in colours if side.startswith(name)), "black"),
        "linestyle": "--" if "window" in side else "-",
        "marker": "s" if "pieces" in side else "o",
        "markersize": 4,
    }
