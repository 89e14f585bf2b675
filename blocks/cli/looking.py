"""`blocks inspect` and `blocks explain`: what a model is, without its weights and without torch."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import HUB, as_json, hub_options, pick, place, show
from blocks.cli.standin import light


@click.command()
@click.argument("model")
@as_json
@hub_options
@light()
def inspect(model: str, as_json: bool, **given: Any) -> None:
    """Show what a checkpoint holds and whether it fits.

    Reads config.json and the headers or index of the weights alone: parameters, dtypes, memory,
    the block each tensor lands in, what is missing and what nobody takes.
    """
    from blocks.hub.inspection import inspect

    show(inspect(place(model), **pick(given, HUB)), as_json)


@click.command()
@click.argument("model")
@click.option("--depth", type=click.IntRange(0), help="How many levels to show; all by default.")
@as_json
@hub_options
@light()
def explain(model: str, depth: int | None, as_json: bool, **given: Any) -> None:
    """Show a model as a tree of blocks.

    With shapes, parameters (shared ones once), bytes, and the bytes of state that a token leaves.
    """
    from blocks.hub.inspection import inspect
    from blocks.surgery.tree import explain

    show(explain(inspect(place(model), **pick(given, HUB)), depth=depth), as_json)
