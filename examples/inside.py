"""The pictures of docs/inside.md: what the packaged model computes on its way.

python examples/inside.py docs
"""

from __future__ import annotations

from pathlib import Path

import click
import torch

import blocks

TEXT = "ROMEO:\nI will speak again of love"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--text", default=TEXT, help="what the model reads")
def main(folder: Path, text: str) -> None:
    """Draw a logit lens, attention maps and activation statistics into FOLDER."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    model = blocks.from_pretrained(blocks.packaged()).float()
    tokenizer = blocks.Tokenizer.from_pretrained(blocks.packaged())
    tokens = torch.tensor([tokenizer.encode(text)])
    lens = blocks.logit_lens(model, tokens)
    lens.plot(folder / "inside-lens.svg", tokenizer=tokenizer)
    click.echo(lens.table(tokenizer))
    maps = blocks.attention_maps(model, tokens)
    maps.plot(folder / "inside-heads.svg")
    last = list(maps)[-1]
    maps.plot(folder / "inside-words.svg", name=last, tokenizer=tokenizer)
    found = blocks.activation_statistics(model, tokens, at=("**.after", "**.hidden"))
    found.plot(folder / "inside-activity.svg")
    click.echo(found)


if __name__ == "__main__":
    main()
