"""`blocks chat`: a conversation, by the model's own chat template."""

from __future__ import annotations

import sys
from typing import Any

import click

from blocks.cli.options import (
    adapter_option,
    assistant_options,
    load_options,
    quantize_option,
    sampling_options,
)

MOST = 512
END = "/exit"


@click.command()
@click.argument("model")
@click.option("--system", help="What the model is told before the conversation.")
@sampling_options
@assistant_options
@quantize_option
@adapter_option
@load_options
def chat(model: str, system: str | None, **given: Any) -> None:
    """Talk with MODEL, a line at a time.

    /exit, Ctrl-D or Ctrl-C ends the conversation. Lines may also be piped in.
    """
    from blocks.cli.speaking import Voice, load_tokenizer, packed_model, say
    from blocks.errors import TokenizerError

    tokenizer = load_tokenizer(model, given)
    if not tokenizer.templates:
        raise TokenizerError(
            "its tokenizer has no chat template", file=model, hint="try: blocks generate"
        )
    voice = Voice(packed_model(model, given), tokenizer, given, MOST, follow=True)
    messages = [] if system is None else [{"role": "system", "content": system}]
    try:
        while (line := _line()) != END:
            if line:
                messages.append({"role": "user", "content": line})
                answer = say(voice.continued(tokenizer.chat(messages), whole=False))
                messages.append({"role": "assistant", "content": answer})
                click.echo()
    except (KeyboardInterrupt, EOFError):
        click.echo()


def _line() -> str:
    """What was typed; a prompt is shown to people only."""
    return input("> " if sys.stdin.isatty() else "").strip()
