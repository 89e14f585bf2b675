"""docs/cli.md: its examples print what it says, and its table knows the options there are."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from index import ROOT

import blocks
from blocks.cli.main import main
from tests.cli.test_commands import run

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```console\n\$ blocks ([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = FENCE.findall(PAGE)


@pytest.mark.parametrize(("command", "expected"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_examples_print_what_the_page_says(
    command: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = json.loads((blocks.packaged() / "config.json").read_text())
    wide = data | {"intermediate_size": 768, "num_hidden_layers": 6}
    for name, content in (("packaged", data), ("wide", wide)):
        Path(f"{name}.json").write_text(json.dumps(content))
    given, _, head = command.partition(" | head -")
    told = run(*shlex.split(given)).stdout.replace(str(blocks.packaged()), "packaged")
    lines = told.splitlines()[: int(head) if head else None]
    assert lines == expected.splitlines()


def test_the_table_lists_every_option_of_these_commands() -> None:
    rows = re.findall(r"^\| (`--.*?) \|.*\| (.*?) \|$", PAGE, re.MULTILINE)
    listed = {
        (option, command)
        for options, commands in rows
        for option in re.findall(r"`(--[\w-]+)`", options)
        for command in commands.split()
    }
    commands = {command for _, command in listed}
    assert commands == set(re.findall(r"^\| `blocks (\w+)", PAGE, re.MULTILINE))
    there = {
        (max(parameter.opts, key=len), name)
        for name in commands
        for parameter in main.commands[name].params
        if parameter.param_type_name == "option"
    }
    assert listed == there
