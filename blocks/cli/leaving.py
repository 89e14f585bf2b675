"""`blocks export` and `blocks eject`: a checkpoint for other tools, and one that needs none."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import (
    LOAD,
    adapter_option,
    as_json,
    folder_of,
    force_download,
    hub_options,
    into_folder,
    json_text,
    pick,
    place,
)


@click.command()
@click.argument("model")
@into_folder
@adapter_option
@as_json
@hub_options
@force_download
def export(model: str, as_json: bool, **given: Any) -> None:
    """Write MODEL to FOLDER as other tools read it.

    In the reference layout, with its tokenizer. An adapter is merged into its matrices.
    """
    import blocks
    from blocks.errors import TokenizerError

    folder, where = folder_of(given), pick(given, LOAD)
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
    told = {"folder": folder, "tokenizer": tokenizer is not None}
    click.echo(json_text(told) if as_json else folder)


@click.command()
@click.argument("model")
@into_folder
@as_json
@hub_options
@force_download
def eject(model: str, as_json: bool, **given: Any) -> None:
    """Write MODEL to FOLDER as one readable file of plain PyTorch.

    model.py holds what this model uses and nothing else, with a loader; config.json and
    model.safetensors are beside it.
    """
    import blocks

    folder = folder_of(given)
    blocks.eject(blocks.from_pretrained(place(model), **pick(given, LOAD)), folder)
    click.echo(json_text({"folder": folder}) if as_json else folder)
