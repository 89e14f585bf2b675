"""`blocks transcribe`: what is said in a sound file."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import as_json, json_text, load_options


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--model", required=True, help="A folder or repository with a model of speech.")
@click.option("--language", help="A code such as en; by default the model tells.")
@click.option(
    "--task",
    type=click.Choice(["transcribe", "translate"]),
    default="transcribe",
    show_default=True,
    help="Write down what is said, or translate it into English.",
)
@click.option("--timestamps", is_flag=True, help="A line for each segment, with its times.")
@as_json
@load_options
def transcribe(
    file: str,
    model: str,
    language: str | None,
    task: str,
    timestamps: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Print what is said in FILE.

    Needs the packages that `pip install "blocks[audio]"` brings.
    """
    import blocks
    from blocks.cli.speaking import load_model, printed

    loaded = load_model(model, given)
    how: dict[str, Any] = {"language": language, "task": task, "timestamps": timestamps}
    found = blocks.transcribe(loaded, file, **how)
    if as_json:
        click.echo(json_text(found.to_json()))
    elif timestamps:
        for segment in found.segments:
            said = _said(segment.text, segment.ids).strip()
            click.echo(printed(f"[{segment.start:.2f} - {segment.end:.2f}] {said}"))
    else:
        click.echo(printed(_said(found.text, found.ids)))


def _said(text: str | None, ids: tuple[int, ...]) -> str:
    """The text; its tokens where the checkpoint has no tokenizer."""
    return " ".join(map(str, ids)) if text is None else text
