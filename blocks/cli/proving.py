"""`blocks verify`: the files of a checkpoint against their checksums."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import HUB, hub_options, pick, place


@click.command()
@click.argument("model")
@hub_options
def verify(model: str, **given: Any) -> None:
    """Compare the files of MODEL with their SHA-256.

    Finds a flipped bit, or a shard of an older save, which no reader can see.
    """
    import blocks

    for name in blocks.verify(place(model), **pick(given, HUB)):
        click.echo(name)
