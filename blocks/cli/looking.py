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
@click.option(
    "--context",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Tokens that one sees.",
)
@as_json
@hub_options
@light()
def explain(model: str, depth: int | None, context: int, as_json: bool, **given: Any) -> None:
    """Show a model as a tree of blocks.

    With shapes, parameters (shared ones once), bytes, and the bytes of state that a token leaves;
    then the FLOPs of a new token and the bytes that are read for it.
    """
    from blocks.hub.inspection import inspect
    from blocks.surgery.tree import explain

    found = inspect(place(model), **pick(given, HUB))
    show(explain(found, depth=depth, context=context), as_json)
