"""`blocks generate`: a text, continued."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click

from blocks.cli.options import (
    PACKAGED,
    adapter_option,
    assistant_options,
    beams_option,
    is_place,
    load_options,
    quantize_option,
    sampling_options,
)

PROMPT = "ROMEO:"
DEMO = {"temperature": 0.8, "seed": 1, "max_new_tokens": 200}
MOST = 128


@click.command()
@click.argument("model", required=False)
@click.argument("text", required=False)
@sampling_options
@beams_option
@assistant_options
@quantize_option
@adapter_option
@load_options
@click.pass_context
def generate(ctx: click.Context, model: str | None, text: str | None, **given: Any) -> None:
    """Continue TEXT and print it as it is written.

    A model that reads one text and writes another, such as T5, prints its answer alone, and looks
    for it with as many beams as its checkpoint says. TEXT "-" reads standard input. Without MODEL,
    the packaged model writes a scene. Afterwards one line on standard error says how many tokens it
    took and how fast they came.
    """
    if (given["beams"] or 1) > 1 and given["temperature"]:
        raise click.UsageError("--beams looks for the likeliest text, --temperature draws one.")
    if model in (None, PACKAGED) and text is None:
        model, text = PACKAGED, PROMPT
        for name, value in DEMO.items():
            if ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT:
                given[name] = value
    model, text = _checked(model or "", text)
    if text == "-":
        text = sys.stdin.read().removesuffix("\n")
    from blocks.cli.speaking import Voice, load_tokenizer, packed_model, say

    tokenizer = load_tokenizer(model, given)
    voice = Voice(packed_model(model, given), tokenizer, given, MOST)
    start = time.perf_counter()
    interrupted = False
    try:
        say(voice.continued(tokenizer.encode(text), whole=True))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        click.echo()
    rate = voice.count / (time.perf_counter() - start)
    click.echo(f"{voice.count} tokens, {rate:.1f} tokens per second{voice.drafts()}", err=True)
    if interrupted:
        ctx.exit(130)


def _checked(model: str, text: str | None) -> tuple[str, str]:
    """The arguments, unless they are mixed up."""
    quoted = shlex.quote(model)
    packaged = f"blocks generate {PACKAGED} {quoted}"
    if not is_place(model):
        reason = f"{model!r} is no model, which is a folder or a repository such as org/name."
        if text is None:
            raise click.UsageError(f"{reason} To continue it with the packaged model: {packaged}")
        if is_place(text):
            reason += f" The model comes first: blocks generate {shlex.quote(text)} {quoted}"
        raise click.UsageError(reason)
    if text is None:
        reason = f'TEXT is missing: blocks generate {quoted} "Once upon a time"'
        if not Path(model).is_dir():
            reason += f". If {model!r} is the text: {packaged}"
        raise click.UsageError(reason)
    return model, text
