"""How long it takes until a model says its first token, and what importing the library costs.

    python examples/benchmarks/load.py --json load.json

Needs `pip install transformers`. Every figure is of a fresh process, ours and theirs turn about,
on one checkpoint of some 860 MB that lies in the system's cache by then. llama.cpp joins where it
is installed, with a file of its own of the same shape. litgpt and x-transformers load no such file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from _common import LLAMA, TOY, Pace, facts, in_turn, ratios, reference, row, tell
from _others import present, pythons

from blocks.speed.measuring import Spread

IMPORTS = """
import time
times = [time.perf_counter()]
import torch
times.append(time.perf_counter())
{imported}
times.append(time.perf_counter())
{named}
times.append(time.perf_counter())
print(*(after - before for before, after in zip(times, times[1:])))
"""
FIRST = """
import sys, time
began = time.perf_counter()
import torch
torch.set_num_threads({threads})
{imported}
tokens = torch.arange(16)[None]
start = time.perf_counter()
with torch.no_grad():
    model = {loaded}
    {said}.argmax(-1).item()
end = time.perf_counter()
print(end - start, end - began)
"""
LLAMA_CPP = """
import sys, time
began = time.perf_counter()
import llama_cpp
start = time.perf_counter()
threads = {{"n_threads": {threads}, "n_threads_batch": {threads}}}
model = llama_cpp.Llama(sys.argv[1], n_ctx=32, verbose=False, **threads)
model.eval(list(range(3, 19)))
end = time.perf_counter()
print(end - start, end - began)
"""
IMPORTED = {
    "blocks": ("import blocks", "blocks.from_pretrained; blocks.generate"),
    "transformers": ("import transformers", "transformers.LlamaForCausalLM"),
}
SIDES = {
    "blocks": {
        "imported": "import blocks, blocks.families.llama; blocks.from_pretrained",
        "loaded": "blocks.from_pretrained(sys.argv[1])",
        "said": "model(tokens, state=model.init_state(1, 32), last=True)[0, -1]",
    },
    "transformers": {
        "imported": "from transformers import LlamaForCausalLM",
        "loaded": "LlamaForCausalLM.from_pretrained(sys.argv[1], dtype='auto')",
        "said": "model(tokens, use_cache=True, logits_to_keep=1).logits[0, -1]",
    },
}


Rows = list[dict[str, Any]]


def fresh(code: str, *arguments: str, python: str = sys.executable) -> Pace:
    """The numbers that a new Python prints."""
    command = [python, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(map(float, result.stdout.split()))


def processes(code: str, *arguments: str, python: str = sys.executable) -> Iterator[Pace]:
    """New ones for ever, the first not counted."""
    fresh(code, *arguments, python=python)
    while True:
        yield fresh(code, *arguments, python=python)


def first_tokens(found: dict[str, list[Pace]]) -> Rows:
    """How long each side takes to its first token, and ours against the others."""
    rows: Rows = []
    for at, what in enumerate(("first token", "first token, with all imports")):
        taken = {name: [times[at] for times in each] for name, each in found.items()}
        rows += [row(f"{what}: {name}", "s", Spread.of(each)) for name, each in taken.items()]
        for name in taken:
            if name != "blocks":
                ratio = ratios(taken["blocks"], taken[name])
                title = f"{what}: blocks / {name}"
                rows.append(row(title, "×", ratio, ratio=True, less=True))
    return rows


def imports(found: dict[str, list[Pace]]) -> Rows:
    """What importing costs after torch: the library, and the names that loading takes."""
    rows = [row("import torch", "s", Spread.of(times[0] for times in found["blocks"]))]
    for name, each in found.items():
        first, then = IMPORTED[name]
        rows.append(row(f"{first}, after torch", "s", Spread.of(times[1] for times in each)))
        both = Spread.of(times[1] + times[2] for times in each)
        rows.append(row(f"{first}; {then}, after torch", "s", both))
    return rows


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--toy", is_flag=True, help="a tiny checkpoint, to try the script")
@pythons("llama")
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the figures here")
def main(rounds: int, threads: int, toy: bool, file: Path | None, **given: str | None) -> None:
    """Compare loading."""
    shape = TOY if toy else LLAMA
    there = present(given)
    with tempfile.TemporaryDirectory() as folder:
        reference("Llama", shape, torch.bfloat16, Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
        codes = {name: FIRST.format(threads=threads, **side) for name, side in SIDES.items()}
        turn = {name: processes(code, folder) for name, code in codes.items()}
        if python := there.get("llama"):
            gguf, code = str(Path(folder) / "model.gguf"), LLAMA_CPP.format(threads=threads)
            asked = json.dumps({"file": gguf, "shape": shape, "kind": "BF16"})
            script = Path(__file__).with_name("_llama.py")
            subprocess.run([python, str(script), asked, "write"], check=True)
            turn["llama.cpp BF16"] = processes(code, gguf, python=python)
        firsts = in_turn(turn, rounds)
    codes = {
        name: IMPORTS.format(imported=first, named=then) for name, (first, then) in IMPORTED.items()
    }
    found = in_turn({name: processes(code) for name, code in codes.items()}, rounds)
    rows = first_tokens(firsts) + imports(found)
    about = facts(shape=shape, dtype="bfloat16", bytes=size, rounds=rounds)
    tell("load", about, rows, file)


if __name__ == "__main__":
    main()
