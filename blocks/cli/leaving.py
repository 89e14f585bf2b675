"""`blocks export`: a checkpoint in the layout that other tools read."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import LOAD, force_download, hub_options, pick, place


@click.command()
@click.argument("model")
@click.argument("folder", type=click.Path(file_okay=False))
@hub_options
@force_download
def export(model: str, folder: str, **given: Any) -> None:
    """Write MODEL to FOLDER as other tools read it.

    In the reference layout, with its tokenizer.
    """
    import blocks
    from blocks.errors import TokenizerError

    where = pick(given, LOAD)
    tokenizer = None
    try:
        tokenizer = blocks.Tokenizer.from_pretrained(place(model), **where)
    except TokenizerError as error:
        click.echo(f"Without a tokenizer: {error}", err=True)
    blocks.export(blocks.from_pretrained(place(model), **where), folder, tokenizer=tokenizer)
    click.echo(folder)
