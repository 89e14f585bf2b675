"""Other libraries, each in a process of its own, where some Python has them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import click
from _served import Served

MODULES = {"litgpt": "litgpt", "x-transformers": "x_transformers", "llama": "llama_cpp"}
SCRIPTS = {"litgpt": "_litgpt.py", "x-transformers": "_xtransformers.py", "llama": "_llama.py"}


def pythons(*names: str) -> Callable[[Any], Any]:
    """Options that name the Python which has a library, for those that can't live in this one."""

    def add(command: Any) -> Any:
        for name in reversed(names):
            variable = f"{MODULES[name].upper()}_PYTHON"
            said = f"the Python that has {MODULES[name]}, if it isn't this one; or {variable}"
            command = click.option(f"--{name}-python", envvar=variable, help=said)(command)
        return command

    return add


def present(given: dict[str, str | None]) -> dict[str, str]:
    """The Python of each library: the one that is named, or this one; those without are named."""
    found = {}
    for option, python in given.items():
        name = option.removesuffix("_python").replace("_", "-")
        if python or importlib.util.find_spec(MODULES[name]):
            found[name] = python or sys.executable
        else:
            print(f"{name}: left out, as it is not installed; --{name}-python names where it is")
    return found


def served(
    pythons: dict[str, str],
    shape: dict[str, Any],
    threads: int,
    kinds: tuple[str, ...] = (),
    **more: Any,
) -> list[Served]:
    """A model of the shape in each library, in bf16 if not asked else; of llama.cpp each kind."""
    sides = []
    for name, python in pythons.items():
        asked = {"shape": shape, "threads": threads, **more}
        if name == "llama":
            each = [(f"llama.cpp {kind}", {**asked, "kind": kind}) for kind in kinds]
        else:
            each = [(name, {"dtype": "bfloat16", **asked})]
        sides += [Served(title, SCRIPTS[name], one, python) for title, one in each]
    for side in sides:
        print(f"{side.name}: {side.about['parameters']:,} parameters")
    return sides
