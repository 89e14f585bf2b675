"""The command `blocks`: thin commands over the public functions.

A new command is a function in a file of this folder, and its name in COMMANDS. Whatever needs torch
or is slow to import is imported inside the function.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Any

import click

from blocks._version import __version__
from blocks.cli.catalog import catalog
from blocks.cli.comparing import diff
from blocks.cli.conversation import chat
from blocks.cli.exchanging import swap
from blocks.cli.filling import fill_mask
from blocks.cli.hearing import transcribe
from blocks.cli.leaving import eject, export
from blocks.cli.looking import explain, inspect
from blocks.cli.meaning import embed
from blocks.cli.proving import verify
from blocks.cli.timing import bench
from blocks.cli.writing import generate
from blocks.errors import BlocksError

COMMANDS = (
    *(generate, chat, embed, fill_mask, transcribe),
    *(catalog, inspect, explain, diff, swap, bench, verify, export, eject),
)


class Commands(click.Group):
    """Commands in the order they are listed; an error of ours is one message and exit code 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that lacks a letter is no error
        try:
            return super().invoke(ctx)
        except BlocksError as error:
            raise click.ClickException(str(error)) from None


@click.group("blocks", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="blocks")
def main() -> None:
    """Take any published architecture apart, put another part in, load the public weights.

    MODEL is a folder with config.json and safetensors, a repository on the Hub such as
    HuggingFaceTB/SmolLM2-135M, or "packaged", the small model that comes with the library.
    """


for command in COMMANDS:
    main.add_command(command)
