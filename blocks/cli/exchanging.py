"""`blocks swap`: another block in a checkpoint, with the weights carried over."""

from __future__ import annotations

from typing import Any

import click

from blocks.cli.options import as_json, folder_of, into_folder, load_options, show


@click.command()
@click.argument("model")
@click.argument("where")
@click.argument("new")
@into_folder
@click.option("--probe", metavar="TEXT", help="Say what it does to the logits of this text.")
@as_json
@load_options
def swap(model: str, where: str, new: str, probe: str | None, as_json: bool, **given: Any) -> None:
    """Put the block NEW in the places WHERE of MODEL and save it.

    WHERE is a block such as GQAttention, or an address with wildcards: "layers.*.attention". NEW is
    a block with its options, "GQAttention(heads=8, mask=Window(64))", some options of the old one,
    "replace(kv_heads=1)", None, or the JSON of a Spec. Weights are carried over where they can be;
    the report says which were copied, converted, new and dropped. FOLDER is where it is saved.
    """
    from blocks.cli.typed import read_new, where_of

    folder = folder_of(given)
    wanted, places = read_new(new), where_of(where)
    import blocks
    from blocks.cli.speaking import load_model, load_tokenizer
    from blocks.errors import TokenizerError

    made, report = blocks.swap(load_model(model, given), places, wanted, probe=probe)
    tokenizer = None
    try:
        tokenizer = load_tokenizer(model, given)
    except TokenizerError as error:
        click.echo(f"Without a tokenizer: {error}", err=True)
    blocks.save_pretrained(made, folder, tokenizer=tokenizer)
    show(report, as_json)
    if not as_json:
        click.echo(f"\n{folder}")
