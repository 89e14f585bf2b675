"""`blocks fill-mask`: what stands behind the masks of a text."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import as_json as json_option
from blocks.cli.options import json_text, load_options


@click.command("fill-mask")
@click.argument("model")
@click.argument("text")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many each.")
@json_option
@load_options
def fill_mask(model: str, text: str, top: int, as_json: bool, **given: Any) -> None:
    """Tell which tokens stand behind the masks of TEXT.

    TEXT holds the mask token of MODEL, such as "[MASK]", once or more. Each line has a probability
    and a token; an empty line stands between one mask and the next.
    """
    import blocks
    from blocks.cli.speaking import load_model, load_tokenizer, printed

    tokenizer = load_tokenizer(model, given)
    masks = blocks.fill_mask(load_model(model, given), text, tokenizer=tokenizer, top=top)
    if as_json:
        rows = [[each._asdict() for each in best] for best in masks]
        click.echo(json_text(rows))
        return
    lines = ["".join(f"{p:.4f}  {printed(said)}\n" for p, _, said in best) for best in masks]
    click.echo("\n".join(lines), nl=False)
