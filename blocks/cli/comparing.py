"""`blocks diff`: two models side by side, without their weights and without torch."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import click

from blocks.cli.options import HUB, as_json, hub_options, pick, place, show
from blocks.cli.standin import light


class Trouble(click.ClickException):
    """An error, told apart from models that differ, as diff tools do."""

    exit_code = 2


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--side-by-side", is_flag=True, help="Show both trees beside each other.")
@as_json
@hub_options
@click.pass_context
def diff(
    ctx: click.Context, a: str, b: str, side_by_side: bool, as_json: bool, **given: Any
) -> None:
    """Show which blocks and numbers of two models differ.

    A and B are models, or files such as config.json, of which the architecture alone is compared.
    Reads no weights. Exits with 0 where nothing differs, 1 where something does, 2 on an error.
    """
    if side_by_side and as_json:
        raise click.UsageError("--side-by-side is a text: it goes without --json.")
    ctx.exit(_compared(a, b, side_by_side, as_json, given))


@light()
def _compared(a: str, b: str, beside: bool, as_json: bool, given: dict[str, Any]) -> int:
    from blocks.errors import BlocksError
    from blocks.hub.planned import look
    from blocks.surgery.differing.comparing import diff

    try:
        found = diff(*(look(place(x), **pick(given, HUB)) for x in (a, b)))
    except BlocksError as error:
        raise Trouble(str(error)) from None
    if beside:
        # A pipe gets whole lines: only people's screens have a width.
        wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(found.side_by_side(wide and max(wide, 24)))
    else:
        show(found, as_json)
    return 0 if found.equal else 1
