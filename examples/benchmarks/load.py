"""How long it takes until a model says its first token, and what importing the library costs.

    python examples/benchmarks/load.py --json load.json

Needs `pip install transformers`. Every figure is of a fresh process, ours and theirs turn about,
on one checkpoint of some 860 MB that lies in the system's cache by then.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import torch
from _common import LLAMA, TOY, Pace, facts, in_turn, ratios, reference, row, tell

from blocks.speed.measuring import Spread

TORCH = "import time; t = time.perf_counter(); import torch; print(time.perf_counter() - t)"
BLOCKS = (
    "import time; t = time.perf_counter(); import torch, blocks; blocks.from_pretrained; "
    "blocks.generate; print(time.perf_counter() - t)"
)
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


def fresh(code: str, *arguments: str) -> Pace:
    """The numbers that a new Python prints."""
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(map(float, result.stdout.split()))


def processes(code: str, *arguments: str):
    """New ones for ever, the first not counted."""
    fresh(code, *arguments)
    while True:
        yield fresh(code, *arguments)


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--toy", is_flag=True, help="a tiny checkpoint, to try the script")
@click.option("--json", "file", type=click.Path(path_type=Path), help="write the figures here")
def main(rounds: int, threads: int, toy: bool, file: Path | None) -> None:
    """Compare loading."""
    shape = TOY if toy else LLAMA
    with tempfile.TemporaryDirectory() as folder:
        reference("Llama", shape, torch.bfloat16, Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
        codes = {name: FIRST.format(threads=threads, **side) for name, side in SIDES.items()}
        turn = {name: processes(code, folder) for name, code in codes.items()}
        turn |= {"import torch": processes(TORCH), "import blocks": processes(BLOCKS)}
        rounds_of = in_turn(turn, rounds)
    rows = []
    for at, what in enumerate(("first token", "first token, with all imports")):
        taken = {name: [times[at] for times in rounds_of[name]] for name in SIDES}
        rows += [row(f"{what}: {name}", "s", Spread.of(taken[name])) for name in SIDES]
        ratio = ratios(taken["blocks"], taken["transformers"])
        rows.append(row(f"{what}: blocks / transformers", "×", ratio, ratio=True))
    found = {
        name: [one for (one,) in rounds_of[name]] for name in ("import torch", "import blocks")
    }
    seconds = {name: Spread.of(values) for name, values in found.items()}
    rows += [row(name, "s", seconds[name]) for name in ("import torch", "import blocks")]
    pairs = zip(found["import blocks"], found["import torch"], strict=True)
    more = Spread.of(ours - theirs for ours, theirs in pairs)
    rows.append(row("import blocks, beyond torch", "s", more))
    about = facts(shape=shape, dtype="bfloat16", bytes=size, rounds=rounds)
    tell("load", about, rows, file)


if __name__ == "__main__":
    main()
