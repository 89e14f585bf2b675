"""`blocks export`: a checkpoint in the layout that other tools read."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import LOAD, adapter_option, force_download, hub_options, pick, place


@click.command()
@click.argument("model")
@click.argument("folder", type=click.Path(file_okay=False))
@adapter_option
@hub_options
@force_download
def export(model: str, folder: str, **given: Any) -> None:
    """Write MODEL to FOLDER as other tools read it.

    In the reference layout, with its tokenizer. An adapter is merged into its matrices.
    """
    import blocks
    from blocks.errors import TokenizerError

    where = pick(given, LOAD)
    tokenizer = None
    try:
        tokenizer = blocks.Tokenizer.from_pretrained(place(model), **where)
    except TokenizerError as error:
        click.echo(f"Without a tokenizer: {error}", err=True)
    loaded = blocks.from_pretrained(place(model), **where)
    if given["adapter"]:
        hub = {**where, "revision": None}
        loaded = blocks.merge_adapter(blocks.load_adapter(loaded, given["adapter"], **hub))
    blocks.export(loaded, folder, tokenizer=tokenizer)
    click.echo(folder)
