"""`blocks embed`: what texts mean, as vectors, or how alike they are."""

from __future__ import annotations

import json
from typing import Any

import click

from blocks.cli.options import as_json as json_option
from blocks.cli.options import load_options


@click.command("embed")
@click.argument("model")
@click.argument("texts", nargs=-1, required=True)
@click.option("--truncate", is_flag=True, help="Read the beginning of texts that are too long.")
@json_option
@load_options
def embed(model: str, texts: tuple[str, ...], truncate: bool, as_json: bool, **given: Any) -> None:
    """Compare TEXTS by the vectors that MODEL makes of them.

    The table has the product of each text's vector with each other's: where vectors have length 1,
    the cosine. --json gives the vectors themselves.
    """
    import blocks
    from blocks.cli.speaking import load_model, load_tokenizer, printed

    tokenizer = load_tokenizer(model, given)
    loaded = load_model(model, given)
    vectors = blocks.embed(loaded, texts, tokenizer=tokenizer, truncate=truncate)
    if as_json:
        click.echo(json.dumps(vectors.float().tolist()))
        return
    alike = (vectors @ vectors.T).float().tolist()
    for text, row in zip(texts, alike, strict=True):
        click.echo("  ".join(f"{value:7.4f}" for value in row) + "  " + printed(text))
