"""`blocks inspect` and `blocks explain`: what a model is, without its weights and without torch."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import (
    HUB,
    as_json,
    dtype_option,
    hub_options,
    json_text,
    pick,
    place,
    show,
)
from blocks.cli.standin import light

AT_ONCE = "Texts at once."


@click.command()
@click.argument("model")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help=AT_ONCE)
@click.option("--context", type=click.IntRange(1), help="Tokens of each; MODEL's bound by default.")
@click.option("--source", type=click.IntRange(1), help="Places of what it reads, if it answers.")
@dtype_option
@as_json
@hub_options
@light()
def inspect(model: str, as_json: bool, **given: Any) -> None:
    """Show what a checkpoint holds and whether it fits.

    Reads config.json and the headers or index of the weights alone: parameters, dtypes, licence,
    the block each tensor lands in, what is missing and what nobody takes, and the memory that
    texts of this many tokens take with weights of this type.
    """
    from blocks.hub.inspection import inspect

    found = inspect(place(model), **pick(given, HUB))
    asked = pick(given, ("batch", "context", "dtype", "source"))
    click.echo(json_text(found.to_json(**asked)) if as_json else found.text(**asked))


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
@click.option("--svg", type=click.Path(dir_okay=False), help="Draw the architecture: a .svg file.")
@click.option("--html", type=click.Path(dir_okay=False), help="Drawing and tree: a .html file.")
@as_json
@hub_options
@light()
def explain(
    model: str,
    depth: int | None,
    context: int,
    svg: str | None,
    html: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Show a model as a tree of blocks.

    With shapes, parameters (shared ones once), bytes, and the bytes of state that a token leaves;
    then the FLOPs of a new token and the bytes that are read for it. MODEL may also be a file such
    as config.json, of which the architecture alone is told.
    """
    from blocks.hub.planned import look
    from blocks.surgery.explaining import explain
    from blocks.surgery.picturing import draw

    found = look(place(model), **pick(given, HUB))
    told = explain(found, depth=depth, context=context)
    for file in filter(None, (svg, html)):
        draw(told, file)
    show(told, as_json)
