"""The vocabulary of options: one name, one meaning, in every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from blocks.hub.source import GGUF, REPO_ID

PACKAGED = "packaged"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order they are listed."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


HUB = ("revision", "token", "cache_dir", "local_files_only")
LOAD = (*HUB, "force_download")
DRAWING = ("temperature", "top_k", "top_p", "min_p", "seed")
SAMPLING = (*DRAWING, "repetition_penalty")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")

hub_options = together(
    click.option("--revision", help="A branch, tag, commit or pull request (refs/pr/7)."),
    click.option("--token", help="For private and gated repositories."),
    click.option("--cache-dir", type=click.Path(file_okay=False), help="Where downloads are kept."),
    click.option("--local-files-only", is_flag=True, help="Don't ask the Hub."),
)

force_download = click.option("--force-download", is_flag=True, help="Fetch every file once more.")

into_folder = together(
    click.argument("folder", required=False, metavar="FOLDER", type=click.Path(file_okay=False)),
    click.option(
        "--out",
        metavar="FOLDER",
        type=click.Path(file_okay=False),
        help="FOLDER, where it is not the last argument.",
    ),
)

dtype_option = click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16", "float64"]),
    help="Convert the weights; by default they stay as they are in the file.",
)

load_options = together(
    dtype_option,
    click.option("--device", default="cpu", show_default=True, help="Such as cpu, cuda or mps."),
    hub_options,
    force_download,
)

quantize_option = click.option(
    "--quantize",
    type=click.Choice(["int8", "int4"]),
    help="Keep the matrices in 8.5 or 4.5 bits a weight, which is quicker and takes less memory.",
)

adapter_option = click.option(
    "--adapter", metavar="FOLDER", help="A LoRA or DoRA of PEFT's format; or its repository."
)

sampling_options = together(
    click.option(
        "--max-new-tokens", type=click.IntRange(1), help="How many tokens to add at most."
    ),
    click.option("--temperature", type=float, default=0.0, help="0 takes the likeliest (default)."),
    click.option("--top-k", type=int, help="Choose among the k likeliest."),
    click.option("--top-p", type=float, help="Choose among the likeliest that sum to p."),
    click.option("--min-p", type=float, help="Choose among those above p times the likeliest."),
    click.option("--repetition-penalty", type=float, help="Above 1 avoids what was."),
    click.option("--seed", type=int, help="The same seed draws the same text."),
    click.option("--stop", multiple=True, help="End where this text appears; may be repeated."),
)


beams_option = click.option(
    "--beams", type=click.IntRange(1), help="Follow so many texts and print the best; 1 streams."
)

assistant_options = together(
    click.option("--assistant", metavar="MODEL", help="A smaller model that drafts, same tokens."),
    click.option("--lookup", is_flag=True, help="Draft what followed the same words before."),
)


def folder_of(given: dict[str, Any]) -> str:
    """The one folder that a command is to write, as an argument or as `--out`."""
    named = [given.pop(name) for name in ("folder", "out")]
    if sum(name is not None for name in named) != 1:
        raise click.UsageError("Give one FOLDER to write, as the last argument or as --out.")
    return named[0] or named[1]


def pick(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Some of a command's options, as arguments of the function below it."""
    return {name: given[name] for name in names}


def is_place(model: str) -> bool:
    """Whether a text can name a model."""
    folder = Path(model).expanduser().is_dir()
    return folder or model.endswith(GGUF) or REPO_ID.fullmatch(model) is not None


def place(model: str) -> str | Path:
    """The folder or repository that MODEL names."""
    if model != PACKAGED or Path(model).is_dir():
        return model
    import blocks

    return blocks.packaged()


def show(report: Any, as_json: bool) -> None:
    """Prints what has a text and a `to_json`."""
    click.echo(json_text(report.to_json()) if as_json else str(report))


def json_text(data: Any) -> str:
    """JSON to be read by people, in which a terminal finds no command."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
